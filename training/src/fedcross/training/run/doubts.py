"""Signs that a run will disappoint, one sentence each. Nothing is refused because of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedcross.contract.plain_text import counted

Triple = tuple[float, float, float]

ZERO_VALIDATIONS = 5
"""Validations in a row without any overlap after which a person is warned."""
LOW_DICE = 0.5
"""A person is warned of a bundle whose test Dice is lower."""
TWISTED = 1.5
"""Factor between the largest and the next voxel side from which the order of a spacing is judged."""
TOO_FEW_TO_CHOOSE = 32
"""Validation cases up to which the round that they choose was measured to be no better than the last."""
_AXES = "xyz"


def doubt_patch(sizes: Iterable[Triple], patch: Triple) -> str | None:
    """Return a sentence if the patch is larger than every volume along an axis.

    Parameters
    ----------
    sizes
        Voxels of each volume along (x, y, z), at the spacing of the networks; may be empty.
    patch
        Voxels of a patch along (x, y, z).
    """
    known = list(sizes)
    for axis, side in enumerate(patch):
        largest = max((size[axis] for size in known), default=side)
        if side > largest:
            return (
                f"A patch has {side:g} voxels along {_AXES[axis]}, but no volume has more "
                f"than {largest:.0f}, so every patch is padded. Compare preprocessing.patch_size and "
                "spacing_mm with the data."
            )
    return None


def doubt_structures(undrawn: Sequence[str]) -> str | None:
    """Return a sentence about the structures that are labelled in no training case; None if all are.

    Parameters
    ----------
    undrawn
        Their names.
    """
    if not undrawn:
        return None
    return (
        f"No training case has a labelled voxel of {', '.join(undrawn)}, so no network learns to "
        "find it, and an empty result counts as right. Check labels and label_map: fedcross data check."
    )


def doubt_spacing(spacings: Iterable[Triple], chosen: Triple) -> str | None:
    """Return a sentence if the networks' voxels are longest along another axis than those of the data.

    Parameters
    ----------
    spacings
        Voxel size (x, y, z) of each volume in mm, axes near LPS; may be empty.
    chosen
        Voxel size (x, y, z) of the networks in mm.
    """
    longest = {_longest_axis(spacing) for spacing in spacings}
    mine = _longest_axis(chosen)
    if len(longest) != 1 or None in longest or mine is None or mine in longest:
        return None
    (theirs,) = longest
    return (
        f"The value of spacing_mm is largest along {_AXES[mine]}, but the slices of every volume are "
        f"thick along {_AXES[theirs or 0]}. The order is x, y, z: left, back, up."
    )


def doubt_validations(metrics: Sequence[Mapping[str, Any]]) -> str | None:
    """Return a sentence at the validation that makes `ZERO_VALIDATIONS` in a row with a mean Dice of 0.

    Parameters
    ----------
    metrics
        Lines of ``metrics.jsonl`` in their order; those of validations have the key ``validation``.
    """
    means = [line["validation"]["mean"] for line in metrics if line.get("validation")]
    zeros = next((count for count, mean in enumerate(reversed(means)) if mean != 0), len(means))
    if zeros != ZERO_VALIDATIONS:
        return None
    return (
        f"The validation Dice was 0 in the last {ZERO_VALIDATIONS} validations. Compare "
        "the labels, spacing_mm and learning_rate with the data: fedcross data check."
    )


def doubt_choice(keep: str, cases: int) -> str | None:
    """Return a sentence if validation cases choose the round, but are too few to tell rounds apart.

    Measured by ``training/benchmarks/kept_round.py``.

    Parameters
    ----------
    keep
        The option ``training.keep``.
    cases
        Number of validation cases of all sites together; without any, the last round is kept.
    """
    if keep != "best" or not 0 < cases <= TOO_FEW_TO_CHOOSE:
        return None
    return (
        f'training.keep is "best", and {counted(cases, "validation case")} will choose the round. In a '
        f"measurement, up to {TOO_FEW_TO_CHOOSE} cases chose no better round than the last one. Without "
        'more cases, set keep = "last".'
    )


def doubt_bundle(test_dice: float | None) -> str | None:
    """Return a sentence if the mean test Dice is below `LOW_DICE`; None also without a test."""
    if test_dice is None or test_dice >= LOW_DICE:
        return None
    return f"The test Dice of this bundle is {test_dice:.2f}. Do not use it before you know why."


def _longest_axis(spacing: Triple) -> int | None:
    """The axis with the clearly longest side; None if there is none."""
    order = sorted(range(3), key=lambda axis: spacing[axis])
    is_clear = spacing[order[2]] >= TWISTED * spacing[order[1]]
    return order[2] if is_clear else None
