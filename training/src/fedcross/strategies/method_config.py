"""The configuration's section ``[method]``: which algorithm, its options, and which of them fit it."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from fedcross.strategies.schedule import ScheduleKind
from fedcross.train.config.sections import Count, Section

MethodKind = Literal[
    "fedcross", "fedcross-ens", "fedavg", "fedprox", "fedbn", "local", "centralised"
]
TITLES: Final[dict[MethodKind, str]] = {
    "fedcross": "FedCross",
    "fedcross-ens": "FedCrossEns",
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "fedbn": "FedBN",
    "local": "Local only",
    "centralised": "Centralised",
}
CROSS: Final = ("fedcross", "fedcross-ens")
AGGREGATING: Final = ("fedavg", "fedprox", "fedbn")
PERSONAL: Final = ("fedbn", "local")


class MethodConfig(Section):
    """Who trains where, how often and how long."""

    kind: MethodKind = Field(
        default="fedcross-ens",
        description="fedcross: one member walks the sites; fedcross-ens: several at once, and the "
        "prediction is the mean of their probabilities. To compare with: fedavg, fedprox, fedbn "
        "(weights are averaged every round), local (a model per site) and centralised (the sites' "
        "cases pooled).",
    )
    members: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None,
        description="Members of fedcross-ens; when left out as many as sites.",
    )
    rounds: Annotated[int, Field(ge=1)] = Field(
        default=50, description="Communication rounds; 50 in the paper."
    )
    local_epochs: Count = Field(
        default=32, description="Epochs that a member trains at a site per round; 32 in the paper."
    )
    schedule: ScheduleKind = Field(
        default="latin",
        description="Of fedcross and fedcross-ens. latin: in every block of as many rounds as "
        "sites each member meets each site once; rotation: round-robin; random: drawn anew every "
        "round (the authors' code).",
    )
    participation: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="Share of the sites that take part in a round, at least one, drawn anew every "
        "round. A member that is due at another site waits.",
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Probability that a visit fails, to study federations that are not reliable.",
    )
    mu: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="Weight of the proximal term mu / 2 |w - w0|^2, w0 being the weights that came "
        "to the site; fedprox has 0.01 when left out, fedcross and fedcross-ens none.",
    )
    distillation: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Of fedcross and fedcross-ens: weight of the distillation from the member as "
        "it came to the site, against forgetting what it learned elsewhere.",
    )
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(
        default=2.0, description="Of the distillation."
    )
    weighting: Literal["cases", "equal"] = Field(
        default="cases",
        description="Of the sites in fedavg's, fedprox's and fedbn's average: by their number of "
        "training cases, or all the same.",
    )
    optimizer_state: Literal["average", "reset"] = Field(
        default="average",
        description="What fedavg, fedprox and fedbn do with the momentum: average it as the "
        "weights, or let it go after every round.",
    )
    average: Literal["none", "ema", "soup"] = Field(
        default="none",
        description="Predict with an average of each member over its own last rounds: ema is "
        "exponential, soup has equal shares.",
    )
    average_from: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="Share of the rounds after which that average begins."
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.8, description="Share of the old average that ema keeps in a round."
    )

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        if self.kind == "fedcross" and self.members not in (None, 1):
            raise ValueError(
                f"fedcross has one member, got members = {self.members}; "
                "an ensemble is kind = 'fedcross-ens'"
            )
        federated = (*CROSS, *AGGREGATING, "local")
        for option, off, kinds in (
            ("members", None, CROSS),
            ("schedule", "latin", CROSS),
            ("distillation", 0.0, CROSS),
            ("mu", None, (*CROSS, "fedprox")),
            ("weighting", "cases", AGGREGATING),
            ("optimizer_state", "average", AGGREGATING),
            ("participation", 1.0, federated),
            ("dropout", 0.0, federated),
        ):
            value = getattr(self, option)
            if value != off and self.kind not in kinds:
                raise ValueError(
                    f"{option} is for {', '.join(kinds)}, got {option} = {value!r} "
                    f"with kind = {self.kind!r}"
                )
        return self

    @property
    def is_personal(self) -> bool:
        """Whether member k is site k's own model, to be judged at its own site."""
        return self.kind in PERSONAL
