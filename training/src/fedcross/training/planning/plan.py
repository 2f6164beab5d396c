"""Complete a configuration from the figures of its sites, and write it as TOML."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcross.contract.plain_text import counted
from fedcross.errors import ConfigError
from fedcross.runtime.device import resolve_device
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.planning.draft import Draft
from fedcross.training.planning.figures import FederationFigures
from fedcross.training.planning.network_rules import CPU_GB
from fedcross.training.planning.proposal import Budget
from fedcross.training.planning.propose import propose
from fedcross.training.planning.toml_text import Reasons, write_toml

ORDER = ("name", "description", "seed", "data_root", "cache")  # of the top level; sections follow
SECTION_ORDER = (
    "method",
    "network",
    "preprocessing",
    "training",
    "augmentation",
    "loss",
    "start",
    "engine",
    "structures",
    "sites",
)
LIMITS = {"memory_gb": (0.2, 1000), "steps": (1, 10**9), "rounds": (1, 10**5)}


@dataclass(frozen=True)
class CompletedPlan:
    """A completed configuration.

    Attributes
    ----------
    values
        Sections and keys, as in a configuration file.
    reasons
        (section, key) to the reason for a value that was proposed.
    head
        Sentences about the plan as a whole.
    """

    values: dict[str, Any]
    reasons: Reasons
    head: tuple[str, ...]

    def config(self) -> TrainingConfig:
        """Return the configuration; its paths are those of `values`."""
        return parse_config(self.values, source="The plan")

    def toml(self, placed: TrainingConfig, folder: Path) -> str:
        """Return the configuration as a TOML file in a folder.

        Parameters
        ----------
        placed
            Configuration with the absolute paths of data, cache and first bundle.
        folder
            Folder of the file; the paths are written relative to it if possible.
        """
        root, cache = _relative(placed.data_root, folder), _relative(placed.cache, folder)
        paths: dict[str, Any] = {"data_root": None if root == "." else root, "cache": cache}
        if placed.start.bundle is not None:
            start = {
                **self.values.get("start", {}),
                "bundle": _relative(placed.start.bundle, folder),
            }
            paths["start"] = start
        values = {key: value for key, value in (self.values | paths).items() if value is not None}
        names = [*ORDER, *SECTION_ORDER, *values]
        ordered = {name: values[name] for name in dict.fromkeys(names) if name in values}
        return write_toml(ordered, self.reasons, self.head)


def complete(draft: Draft, figures: FederationFigures, budget: Budget) -> CompletedPlan:
    """Propose what a draft leaves open.

    Parameters
    ----------
    draft
        The configuration as it was written.
    figures
        Figures of its sites.
    budget
        Memory, steps and rounds.

    Raises
    ------
    ConfigError
        If what is given excludes every valid configuration; the message names the key.
    """
    classes = len(draft.config.structures) + 1
    proposal = propose(draft.given, figures, budget, classes)
    head = (
        f"Proposed by fedcross plan from {counted(figures.cases, 'training and validation case')} of "
        f"{counted(len(figures.train), 'site')}. The reason is beside each value.",
        *proposal.notes,
        *([f"Without {', '.join(figures.left_out)}."] if figures.left_out else ()),
    )
    plan = CompletedPlan({**draft.values, **proposal.sections}, proposal.reasons, head)
    plan.config()
    return plan


def make_budget(
    memory_gb: float | None, steps: int | None, rounds: int | None, device: str
) -> Budget:
    """Return the budget of a plan.

    Parameters
    ----------
    memory_gb
        Memory of a training step, 10^9 bytes; None for that of the device.
    steps, rounds
        Steps of all members together, and rounds; None for the defaults.
    device
        ``auto``, ``cpu``, or GPUs such as ``cuda:0``; of several the first counts.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    DeviceError
        If the device does not exist.
    """
    for name, value in (("memory_gb", memory_gb), ("steps", steps), ("rounds", rounds)):
        low, high = LIMITS[name]
        if value is not None and not low <= value <= high:
            raise ConfigError(f"{name} must be from {low} to {high}, got {value}.")
    return Budget(memory_gb or _device_gb(device), steps, rounds)


def _device_gb(name: str) -> float:
    """Memory of a GPU in whole GB, or `CPU_GB` for a CPU."""
    import torch

    device = resolve_device(name.split(",")[0].strip())
    if device.type == "cpu":
        return CPU_GB
    return float(max(1, torch.cuda.get_device_properties(device).total_memory // 10**9))


def _relative(path: Path | None, folder: Path) -> str | None:
    if path is None:
        return None
    try:
        return Path(os.path.relpath(path, folder.absolute())).as_posix()
    except ValueError:  # another drive
        return path.absolute().as_posix()
