"""The configuration's section ``[engine]``: where the federation runs and which figures sites send."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_serializer, model_validator

from fedcross.training.config.record import ALL_SITES_RECORD
from fedcross.training.config.sections import Section

Figure = Literal["loss", "validation", "cases"]
FIGURES: tuple[Figure, ...] = ("loss", "validation", "cases")
Seconds = Annotated[float, Field(gt=0)]


class EngineConfig(Section):
    """Where the federation runs, which figures sites send, time limits and privacy.

    Only the flare engines use the options other than `kind`.
    """

    kind: Literal["local", "flare-simulator", "flare"] = Field(
        default="local",
        description="local: all sites in one process; flare-simulator: NVIDIA FLARE with one process "
        "per site on this machine; flare: NVIDIA FLARE across hospitals, see "
        "`fedcross federation`.",
    )
    figures: tuple[Figure, ...] = Field(
        default=FIGURES,
        description="Figures that the server asks the sites for, for the flare engines. loss: mean "
        "training loss of a visit, and its number of skipped steps; validation: Dice on validation "
        "and test cases; cases: numbers of cases. A site sends only those that its own settings "
        "allow. By default all are asked for.",
    )
    min_sites: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Number of sites that must be able to train before a job of the run begins, for "
        "the flare engines; at least 1. When left out, or larger than the number of sites: all of "
        "them. A site that leaves during the job misses its visits, but does not end the job.",
    )
    visit_timeout_s: Seconds = Field(
        default=86400.0,
        description="Longest duration of one task at a site (a visit, a validation or the test) in "
        "seconds, for the flare engines. A task that takes longer has failed. The default is one day.",
    )
    silence_timeout_s: Seconds = Field(
        default=60.0,
        description="Longest time in seconds for which the server may get no answer from a site, for "
        "the flare engines. After that the site's task has failed.",
    )
    slowest_mbit_s: Annotated[float, Field(gt=0)] = Field(
        default=10.0,
        description="Data rate of the slowest site's connection in Mbit/s, for the flare engines. "
        "While members are sent to a site, silence_timeout_s is extended by their transfer time at "
        "this rate.",
    )
    max_update: Annotated[float, Field(gt=0)] = Field(
        default=10.0,
        description="Largest change of a member's weights by a visit, as a multiple of the weights' "
        "Euclidean norm before it, for the flare engines. The same limit holds for the next step "
        "that the returned optimiser state would make. A member beyond it is refused: it continues "
        "with its state before the visit.",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Largest Euclidean norm of the change of weights that leaves a site, for the "
        "flare engines. A larger change is scaled down to it; the optimiser state does not leave "
        "the site. When left out, members are sent unchanged.",
    )
    noise_multiplier: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Standard deviation of the Gaussian noise that a site adds to every weight after "
        "clipping, as a multiple of clip_norm; needs clip_norm. The default 0 adds none.",
    )
    delta: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=1e-5,
        description="The delta, between 0 and 1, of the (epsilon, delta)-differential privacy that is "
        "reported for this noise.",
    )

    @field_serializer("min_sites")
    def _record_min_sites(self, value: int | None) -> int:
        return value or ALL_SITES_RECORD

    @model_validator(mode="after")
    def _noise_needs_a_norm(self) -> Self:
        if self.noise_multiplier > 0 and self.clip_norm is None:
            raise ValueError("noise_multiplier needs clip_norm")
        if self.clip_norm is not None and self.kind == "local":
            raise ValueError('clip_norm needs a flare engine, got kind = "local"')
        return self
