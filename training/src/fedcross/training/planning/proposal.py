"""A proposal: the sections of a configuration, and the reason for every value that was not given."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Budget:
    """What a run may use.

    Attributes
    ----------
    memory_gb
        Memory of a training step, 10^9 bytes.
    steps
        Steps of all members together; None for a default per member.
    rounds
        Number of rounds; None if it follows from the steps.
    """

    memory_gb: float
    steps: int | None = None
    rounds: int | None = None


@dataclass
class Proposal:
    """Proposed values of the sections, and the reasons for them.

    Attributes
    ----------
    sections
        Section to its keys and values, those that were given among them.
    reasons
        (section, key) to the reason, for the keys that were not given.
    notes
        Sentences about the plan as a whole.
    """

    sections: dict[str, dict[str, Any]]
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def section(self, name: str) -> dict[str, Any]:
        """Return the present keys and values of a section."""
        return self.sections.setdefault(name, {})

    def offer(self, section: str, key: str, value: Any, reason: str) -> Any:
        """Set a key unless it was given; return the value that holds."""
        options = self.section(section)
        if key not in options:
            options[key] = value
            self.reasons[section, key] = reason
        return options[key]
