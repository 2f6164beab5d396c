"""The configuration's section ``[engine]``: where the federation runs, and what its sites tell."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fedcross.train.config.sections import Section

Figure = Literal["loss", "validation", "cases"]
FIGURES: tuple[Figure, ...] = ("loss", "validation", "cases")
Seconds = Annotated[float, Field(gt=0)]


class EngineConfig(Section):
    """Where the federation runs, and what its sites tell."""

    kind: Literal["local", "flare-simulator", "flare"] = Field(
        default="local",
        description="local: all sites in one process; flare-simulator: NVIDIA FLARE with a process "
        "for each site on this machine; flare: NVIDIA FLARE across hospitals, see "
        "`fedcross federation`.",
    )
    figures: tuple[Figure, ...] = Field(
        default=FIGURES,
        description="Of the flare engines: all that sites are asked to tell beside the member: mean "
        "training loss of a visit, Dice on their validation and test cases, numbers of cases. Each "
        "site may refuse any.",
    )
    min_sites: Annotated[int, Field(ge=1)] = Field(
        default=1, description="Of the flare engines: sites that must be connected to begin."
    )
    visit_timeout_s: Seconds = Field(
        default=86400.0, description="Of the flare engines: a visit that takes longer has failed."
    )
    silence_timeout_s: Seconds = Field(
        default=60.0,
        description="Of the flare engines: a visit at a site that is not heard of for so long has "
        "failed.",
    )
    slowest_mbit_s: Annotated[float, Field(gt=0)] = Field(
        default=10.0,
        description="Of the flare engines: the slowest connection of a site, in Mbit/s; a site that "
        "is sent a member may be silent for as much longer as that takes.",
    )
    max_update: Annotated[float, Field(gt=0)] = Field(
        default=10.0,
        description="Of the flare engines: a member whose weights come back changed by more than "
        "so many times their own norm is refused, and goes on as it was.",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Of the flare engines: norm to which a site scales down what a visit changed, "
        "before the member leaves, without its optimiser state; when left out, members leave as "
        "they are.",
    )
    noise_multiplier: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Standard deviation, in clip_norm, of Gaussian noise that the site then adds "
        "to every weight.",
    )
    delta: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=1e-5, description="Of the differential privacy that is reported for that noise."
    )

    @model_validator(mode="after")
    def _noise_needs_a_norm(self) -> Self:
        if self.noise_multiplier > 0 and self.clip_norm is None:
            raise ValueError("noise_multiplier needs clip_norm")
        if self.clip_norm is not None and self.kind == "local":
            raise ValueError('clip_norm is for the flare engines, got kind = "local"')
        return self
