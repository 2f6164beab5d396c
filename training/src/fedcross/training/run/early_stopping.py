"""Early stopping: the training ends when the validation has not improved for a while."""

from fedcross.training.run.checkpoint import Best
from fedcross.training.run.folder import RunFolder

STOPPED_EARLY = "stopped_early"
"""Key in the line of metrics of the validation after which the training ended."""


def exhausts_patience(
    patience: int | None, run: RunFolder, best: Best | None, rounds_done: int
) -> bool:
    """Return whether the training ends after a validation.

    Parameters
    ----------
    patience
        Number of validations without improvement after which it ends; None if it does not.
    run
        Run folder with the metrics of the validations before this one. If the run got more rounds or
        sites, validations count from then on.
    best
        Best round, this one included; None while members share their rounds, which do not count.
    rounds_done
        Number of finished rounds, after which the members were validated.
    """
    if patience is None or best is None or best.round == rounds_done:
        return False
    begin = max(best.round, run.continued_at)
    later = [line for line in run.metrics() if line["round"] > begin]
    return 1 + sum("validation" in line for line in later) >= patience


def was_stopped_early(run: RunFolder) -> bool:
    """Return whether the training of a run has ended early, since it last got more rounds or sites."""
    begin = run.continued_at
    return any(line.get(STOPPED_EARLY) and line["round"] > begin for line in run.metrics())
