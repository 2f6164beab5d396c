"""The difference between the configuration of a run and the one with which it is resumed."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedcross.errors import CheckpointError
from fedcross.training.config.configuration import TrainingConfig, config_values


def require_same(
    recorded: TrainingConfig, config: TrainingConfig, run: str, *, may_grow: bool = True
) -> None:
    """Check that a configuration is that of a run.

    Parameters
    ----------
    recorded
        Configuration of the run.
    config
        Configuration with which it is resumed.
    run
        Name of the run, for the message.
    may_grow
        Whether the run may go on with more rounds or sites, for the message.

    Raises
    ------
    CheckpointError
        If they differ; names the keys with both values.
    """
    before, now = config_values(recorded), config_values(config)
    if "preset" in now.get("augmentation", {}) and "augmentation" not in before:
        raise CheckpointError(
            f"The run {run} trains with the augmentation preset paper, as all runs of earlier "
            f"versions; the configuration asks for {now['augmentation']['preset']}.",
            'Set preset = "paper" in [augmentation] and keep = "best" in [training] to resume it.',
        )
    old, new = dict(_flat(before)), dict(_flat(now))
    changed = [
        f"{key} (was {old.get(key, 'absent')!r}, is {new.get(key, 'absent')!r})"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise CheckpointError(
            f"The run {run} has another configuration: {'; '.join(changed)}.",
            "Resume with the original configuration, to which only rounds and, at the end, sites may be "
            "added, or start a new run."
            if may_grow
            else "Use the original configuration, or another folder.",
        )


def _flat(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) for all values of nested mappings and of lists of mappings."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _flat(value, f"{key}.{name}" if key else name)
    elif isinstance(values, list) and any(isinstance(value, Mapping) for value in values):
        for index, value in enumerate(values):
            yield from _flat(value, f"{key}.{index}")
    else:
        yield key, values
