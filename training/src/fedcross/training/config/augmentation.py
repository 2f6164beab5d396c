"""The section ``[augmentation]``: how training patches are changed at random."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from fedcross.model.plugin import PluginReference
from fedcross.training.config.sections import OptimisationConfig, Section

Probability = Annotated[float, Field(ge=0, le=1)]
Preset = Literal["strong", "paper", "none"]

IDENTITY: dict[str, float] = {
    "rotation_rad": 0.0,
    "tilt_rad": 0.0,
    "scale": 1.0,
    "scale_difference": 0.0,
    "flip_probability": 0.0,
    "elastic_probability": 0.0,
    "bias_probability": 0.0,
    "curve_probability": 0.0,
    "gin_probability": 0.0,
    "blur_probability": 0.0,
    "low_resolution_probability": 0.0,
    "gamma_probability": 0.0,
    "contrast_probability": 0.0,
    "noise_probability": 0.0,
}
"""The values that change nothing; the starting point of the preset ``none``."""

PAPER_OPTIONS = ("rotation_rad", "intensity", "noise")
"""Options of ``[training]`` that only the preset ``paper`` uses."""

_SIDES = (
    "left right l r lt rt links rechts linke linker linkes rechte rechter rechtes gauche droit droite "
    "izquierdo izquierda derecho derecha sinistro sinistra destro destra sinister dexter dextra "
    "esquerdo esquerda direito direita"
)
SIDES = frozenset(_SIDES.split())
"""Words for one side of the body in several languages, and the short forms in names of structures."""

_WORD = re.compile(r"[^\W\d_a-z]+(?![a-z])\d*|[^\W\d_]?[^\W\d_A-Z]+|[^\W_]+")
"""A word within a name: also ``Left`` in ``KidneyLeft``, ``left`` in ``kidney_left``, ``L4`` as one."""


class AugmentationConfig(Section):
    """Random changes of every training patch; the defaults are those of the preset ``strong``.

    Voxels are called anisotropic if their longest side is at least twice the shortest. "In plane" then
    means the plane of the short sides. Otherwise all three axes are treated alike.
    """

    added_later: ClassVar[tuple[str, ...]] = ("plugin",)

    preset: Preset = Field(
        default="strong",
        description="strong: the values below. none: no change, except by keys that are set. paper: "
        "the rotation, intensities and noise of [training], as in the paper; no other key is allowed.",
    )
    rotation_rad: Annotated[float, Field(ge=0, le=3.2)] = Field(
        default=0.4, description="Largest rotation in plane, in radians, from 0 to 3.2."
    )
    tilt_rad: Annotated[float, Field(ge=0, le=3.2)] = Field(
        default=0.08,
        description="Largest rotation about each of the other two axes if voxels are anisotropic, in "
        "radians. Otherwise rotation_rad holds for all axes.",
    )
    scale: Annotated[float, Field(ge=1, le=4)] = Field(
        default=1.25,
        description="Largest factor of the size; the smallest is 1 / scale. Axes in plane share a "
        "factor; the axis through the plane has its own.",
    )
    scale_difference: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.05,
        description="Share by which the factor of an axis differs at most from the shared factor.",
    )
    flip_probability: Probability | None = Field(
        default=None,
        description="Probability that left and right are exchanged. When left out it is 0.5, or 0 if "
        "the name or the type of a structure has a word for one side, such as left, R, links or gauche.",
    )
    elastic_probability: Probability = Field(
        default=0.3, description="Probability of a smooth random displacement."
    )
    elastic_voxels: Annotated[float, Field(ge=0, le=20)] = Field(
        default=3.0,
        description="Largest displacement along an axis, in voxels. If voxels are anisotropic, it is "
        "a tenth of this through the plane.",
    )
    bias_probability: Probability = Field(
        default=0.3, description="Probability of a smooth multiplicative bias field."
    )
    bias: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.4, description="The bias field lies between exp(-bias) and exp(bias)."
    )
    curve_probability: Probability = Field(
        default=0.0, description="Probability of a random monotone curve of the intensities."
    )
    gin_probability: Probability = Field(
        default=0.0,
        description="Probability of GIN, a random shallow convolution network (arXiv 2111.12525): for "
        "scans with a contrast that no site of the federation has.",
    )
    blur_probability: Probability = Field(
        default=0.2, description="Probability of a Gaussian blur in plane."
    )
    blur_voxels: Annotated[float, Field(ge=0, le=5)] = Field(
        default=1.0, description="Largest standard deviation of the blur, in voxels."
    )
    low_resolution_probability: Probability = Field(
        default=0.25, description="Probability of a lower resolution in plane."
    )
    low_resolution: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5, description="Smallest share of the resolution that remains."
    )
    gamma_probability: Probability = Field(
        default=0.3, description="Probability of a gamma change; mean and spread stay the same."
    )
    gamma: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.4, description="The exponent lies between exp(-gamma) and exp(gamma)."
    )
    gamma_inverted: Probability = Field(
        default=0.25, description="Share of the gamma changes that act on the inverted intensities."
    )
    contrast_probability: Probability = Field(
        default=0.3, description="Probability of a change of contrast and brightness."
    )
    contrast: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.3,
        description="The contrast's factor lies between exp(-contrast) and exp(contrast).",
    )
    brightness: Annotated[float, Field(ge=0, le=5)] = Field(
        default=0.3,
        description="Largest change of the brightness, in standard deviations of the volume.",
    )
    noise_probability: Probability = Field(
        default=0.2, description="Probability of Gaussian noise."
    )
    noise: Annotated[float, Field(ge=0, le=5)] = Field(
        default=0.25,
        description="Largest standard deviation of that noise, in standard deviations of the volume.",
    )

    plugin: PluginReference | None = Field(
        default=None,
        description="Augmentation of an installed package, an entry point in fedcross.augmentations, "
        "which changes every patch after the changes of the preset. When left out there is none.",
    )

    @model_validator(mode="before")
    @classmethod
    def _begin_with_preset(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        preset = values.get("preset")
        return {**IDENTITY, **values} if preset in ("none", "paper") else values

    @model_validator(mode="after")
    def _paper_has_no_keys(self) -> Self:
        if self.preset == "paper":
            changed = [
                name
                for name, value in self
                if name not in ("preset", "plugin") and value != _paper_value(name)
            ]
            if changed:
                raise ValueError(
                    f'{changed[0]} has no effect with preset = "paper", which takes rotation_rad, '
                    "intensity and noise of [training]"
                )
        return self

    @model_serializer(mode="wrap")
    def _record(self, options: SerializerFunctionWrapHandler) -> dict[str, Any]:
        record = self._without_unused(options(self))
        if self.preset == "paper":
            return {name: record[name] for name in ("preset", "plugin") if name in record}
        return record

    def flip_chance(self, structures: Sequence[str]) -> float:
        """Return the probability of a flip for structures with these names, or meanings of types."""
        if self.flip_probability is not None:
            return self.flip_probability
        words = {word.lower() for name in structures for word in _WORD.findall(name)}
        return 0.0 if words & SIDES else 0.5


def note_unused(augmentation: AugmentationConfig, training: OptimisationConfig) -> str:
    """Return a sentence about options of ``[training]`` that the preset does not use; empty if none.

    An option counts if its value is not the default.
    """
    if augmentation.preset == "paper":
        return ""
    unused = [
        f"{name} = {getattr(training, name)}"
        for name in PAPER_OPTIONS
        if getattr(training, name) != type(training).model_fields[name].default
    ]
    if not unused:
        return ""
    return (
        f"Not used, because the augmentation preset is {augmentation.preset} and not paper: "
        f"{', '.join(unused)} in [training]."
    )


def _paper_value(name: str) -> Any:
    return IDENTITY.get(name, AugmentationConfig.model_fields[name].default)
