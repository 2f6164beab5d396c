"""The record of training steps that were skipped in a visit, the same for every engine."""

from collections.abc import Callable

from fedcross.strategies.member import MemberState


def record_skipped(
    skipped: int | None,
    member: MemberState,
    site: str,
    round_index: int,
    log: Callable[[str], None],
) -> dict[str, int]:
    """Warn if steps of a visit were skipped; return the entry of the visit's line of metrics.

    Parameters
    ----------
    skipped
        Number of steps whose loss or gradient was not finite; None if the site does not share it.
    member
        The member.
    site
        Name of the site.
    round_index
        Index of the round, from 0.
    log
        Receives the warning.

    Returns
    -------
    dict of str to int
        ``{"skipped": number}``; empty if no step was skipped.
    """
    if not skipped:
        return {}
    steps = "step" if skipped == 1 else "steps"
    log(
        f"Round {round_index + 1}: {skipped} {steps} of member {member.index} at {site} skipped, "
        "because the loss or its gradient was not finite."
    )
    return {"skipped": skipped}
