"""Train from a configuration without spacing and patch size: its plan becomes a file of the run."""

from collections.abc import Callable
from pathlib import Path

from fedcross.errors import CheckpointError, ConfigError
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.files.folders import make_folder
from fedcross.runtime.reporting import Reporter
from fedcross.training.config.configuration import TrainingConfig, parse_config
from fedcross.training.config.file import read_values
from fedcross.training.planning.draft import Draft
from fedcross.training.planning.figures import FederationFigures
from fedcross.training.planning.plan import complete
from fedcross.training.planning.proposal import Budget
from fedcross.training.planning.propose import SECTIONS
from fedcross.training.run.folder import PLAN
from fedcross.training.run.opening import check_new


def plan_run(
    draft: Draft,
    out: Path,
    budget: Budget,
    reporter: Reporter,
    gather: Callable[[TrainingConfig, Reporter], FederationFigures],
) -> TrainingConfig:
    """Plan a new run and write ``plan.toml`` into its folder.

    Parameters
    ----------
    draft
        The configuration as it was written.
    out
        Run folder to make.
    budget
        Memory of a training step.
    reporter
        Receives stages, progress and one line about the plan.
    gather
        Gathers the figures of the sites.

    Returns
    -------
    TrainingConfig
        The completed configuration, with the paths of the draft.

    Raises
    ------
    CheckpointError
        If the folder holds a run or other files, or cannot be written.
    ConfigError, DataError
        See `complete`; and whatever `gather` raises.
    """
    check_new(out)
    plan = complete(draft, gather(draft.config, reporter), budget)
    make_folder(out, error_class=CheckpointError, subject=f"The run folder {out.name}")
    text = plan.toml(draft.config, out)
    write_atomically(out / PLAN, text.encode("utf-8"), durable=True, error_class=CheckpointError)
    reporter.log(
        f"The configuration has no voxel spacing and patch size; planned from the data: {PLAN}."
    )
    return draft.with_paths(plan.config())


def read_run_plan(draft: Draft, out: Path) -> TrainingConfig:
    """Complete a configuration from the plan of the run that it began.

    What the configuration states counts, so that a change of it is noticed when the run is resumed.

    Parameters
    ----------
    draft
        The configuration as it is written now.
    out
        Run folder.

    Raises
    ------
    CheckpointError
        If the run has no readable plan.
    ConfigError
        If the configuration does not fit the plan.
    """
    try:
        plan = read_values(out / PLAN)
    except ConfigError as error:
        raise CheckpointError(
            f"The run {out.name} has no readable {PLAN} to resume from.",
            "Resume with the completed configuration.",
        ) from error
    sections = {name: {**plan.get(name, {}), **draft.given[name]} for name in SECTIONS}
    return draft.with_paths(parse_config({**draft.values, **sections}, source=PLAN))
