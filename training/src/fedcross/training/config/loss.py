"""The configuration's section ``[loss]``: what a member minimises at a site."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fedcross.model.plugin import PluginReference
from fedcross.training.config.sections import Section

Weight = Annotated[float, Field(gt=0, le=1e6)]


class LossConfig(Section):
    """The loss of a batch, a term over regions plus a term over voxels.

    The formulas are in `fedcross.training.step.losses`.
    """

    added_later: ClassVar[tuple[str, ...]] = ("plugin",)

    kind: Literal["dice-ce", "dice-focal", "tversky-ce", "custom"] = Field(
        default="dice-ce",
        description="dice-ce: soft Dice and cross-entropy (the FedCross authors' loss); dice-focal: "
        "soft Dice and focal loss, which counts voxels that are right already less; tversky-ce: "
        "Tversky loss, which weighs false positives and false negatives, and cross-entropy; custom: the "
        "loss of an installed package that plugin names.",
    )
    plugin: PluginReference | None = Field(
        default=None,
        description="With the kind custom: the loss's entry point in fedcross.losses, which returns "
        "loss(logits, target, missing); see `fedcross.training.step.losses.Loss`.",
    )
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = Field(
        default=2.0,
        description="Exponent of dice-focal, from 0 (cross-entropy) to 10: the loss of a voxel is "
        "multiplied by (1 - p) ** focal_gamma, p being the probability of its class.",
    )
    tversky_alpha: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.3,
        description="Weight of false positives in tversky-ce, above 0 up to 1.",
    )
    tversky_beta: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.7,
        description="Weight of false negatives in tversky-ce, above 0 up to 1. A beta above alpha "
        "finds more of small structures, with more false positives; both 0.5 is the Dice.",
    )
    class_weights: tuple[Weight, ...] = Field(
        default=(),
        description="Weight of every class, background first, in the cross-entropy or the focal "
        "loss, each above 0; only their ratios matter. When empty, all classes have the same weight.",
    )

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        for kind, names in (
            ("dice-focal", ("focal_gamma",)),
            ("tversky-ce", ("tversky_alpha", "tversky_beta")),
        ):
            for name in names:
                value = getattr(self, name)
                if self.kind != kind and value != type(self).model_fields[name].default:
                    raise ValueError(
                        f'{name} is for kind = "{kind}", got {name} = {value} with kind = '
                        f'"{self.kind}"'
                    )
        if (self.kind == "custom") != (self.plugin is not None):
            raise ValueError(
                f'kind = "custom" and plugin need each other, got kind = "{self.kind}"'
            )
        if self.kind == "custom" and self.class_weights:
            raise ValueError('class_weights has no effect with kind = "custom"')
        return self
