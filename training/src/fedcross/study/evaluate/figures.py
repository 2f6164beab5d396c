"""The figures of one case: what a checkpoint of an evaluation stores."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

CONFIDENCE, BORDER = "1 - confidence", "closeness to the border"
"""Scores that the measures are compared with: 1 minus the largest mean probability, and minus the
distance to the border of the segmentation."""


class Figures(BaseModel):
    """Figures that are stored as JSON; a field that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Accuracy(Figures):
    """One label map and one structure against the drawn label map.

    Attributes
    ----------
    dice
        0 to 1.
    hd95_mm, assd_mm
        See `fedcross.training.evaluation.surface.SurfaceDistances`.
    volume_error_ml
        Volume found minus volume drawn, in mL.
    """

    dice: Unit
    hd95_mm: Finite
    assd_mm: Finite
    volume_error_ml: Finite


class StructureFigures(Figures):
    """One structure of a case.

    Attributes
    ----------
    drawn_ml
        Volume in the drawn label map, mL.
    ensemble
        Accuracy of the ensemble.
    members
        Accuracy of each member.
    first_members
        Accuracy of the ensemble of the first 2 ... K members; empty with one member.
    agreement
        Mean Dice over all pairs of members; None with one member.
    predicted_dice
        The Dice that the summary of the segmentation predicts; None if it predicts none.
    verdict
        ``agree``, ``look``, ``distrust`` or ``absent``.
    range_ml
        Smallest and largest volume among the members.
    interval_ml
        Interval of the volume in the summary; None if it has none.
    band, volume
        Counts of `fedcross.uncertainty.probability_calibration` of the structure's mean probability,
        near the structures and in the whole volume.
    """

    drawn_ml: Finite
    ensemble: Accuracy
    members: tuple[Accuracy, ...]
    first_members: tuple[Accuracy, ...]
    agreement: Unit | None
    predicted_dice: Unit | None
    verdict: str
    range_ml: tuple[Finite, Finite]
    interval_ml: tuple[Finite, Finite] | None
    band: dict[str, list[Any]]
    volume: dict[str, list[Any]]


class VoxelFigures(Figures):
    """How well scores find the wrong voxels among some voxels.

    Attributes
    ----------
    voxels, wrong
        Number of voxels, and of wrong ones.
    auroc, average_precision
        By the name of the score; None if no voxel or every voxel is wrong.
    """

    voxels: int
    wrong: int
    auroc: dict[str, Unit | None]
    average_precision: dict[str, Unit | None]


class Curve(Figures):
    """Mean Dice over the structures and wrong volume in mL after 0, 1 ... places."""

    dice: tuple[Unit, ...]
    error_ml: tuple[Finite, ...]


class ReviewFigures(Figures):
    """The simulated review of a case.

    Attributes
    ----------
    places
        Number of places in the list.
    ranked, random, limit
        The places of the list, places at random on the border, and the places with most errors.
    """

    places: int
    ranked: Curve
    random: Curve
    limit: Curve


class CaseFigures(Figures):
    """All figures of one case.

    Attributes
    ----------
    site, part, case
        Names.
    structures
        By the name of the structure; those that were not drawn are left out.
    band, volume
        Figures of the voxels near the structures and of all voxels.
    review
        The simulated review; None if no structure was drawn.
    """

    site: str
    part: str
    case: str
    structures: dict[str, StructureFigures]
    band: VoxelFigures
    volume: VoxelFigures
    review: ReviewFigures | None
