"""The base class of the configuration's sections, and the section ``[training]``."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from fedcross.model.plugin import PluginReference
from fedcross.runtime.stable_record import StableRecord

Count = Annotated[int, Field(ge=0)]


class Section(StableRecord):
    """A section of the configuration: immutable, without unknown keys, NaN or infinity.

    An option that is added to a section is listed in `added_later`, so that the recorded configuration
    and its hash do not change for those who do not use it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OptimisationConfig(Section):
    """How a member trains during one visit; every default is the FedCross authors' value."""

    added_later: ClassVar[tuple[str, ...]] = (
        "rate_schedule",
        "warmup_epochs",
        "patience",
        "optimizer_plugin",
    )

    batch_size: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=16, description="Patches per optimiser step, at least 1."
    )
    patches_per_case: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=4, description="Patches drawn from every training case per epoch, at least 1."
    )
    optimizer: Literal["sgd", "adamw", "custom"] = Field(
        default="sgd",
        description="Optimiser: sgd with Nesterov momentum, adamw, or custom, the optimiser of an "
        "installed package that optimizer_plugin names. The optimiser's state travels with the member.",
    )
    optimizer_plugin: PluginReference | None = Field(
        default=None,
        description="With the optimiser custom: its entry point in fedcross.optimizers, which is called "
        "with the parameters, lr and its arguments, and returns a torch.optim.Optimizer.",
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        default=0.01,
        description="Learning rate, above 0, of the run's first epoch after the warm-up. It changes as "
        "rate_schedule says.",
    )
    rate_schedule: Literal["polynomial", "cosine", "constant"] = Field(
        default="polynomial",
        description="How the learning rate changes over the run, t being the share of its local "
        "epochs after the warm-up that are done. polynomial: (1 - t) ** 0.9; cosine: half a period of "
        "the cosine, (1 + cos(pi t)) / 2; constant: no change.",
    )
    warmup_epochs: Count = Field(
        default=0,
        description="Number of local epochs at the beginning of the run in which the rate rises "
        "linearly to learning_rate; fewer than the run has. The default 0 is no warm-up.",
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.99,
        description="Momentum of sgd, from 0 (plain gradient descent) to below 1; adamw ignores it.",
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="Weight decay, at least 0: an L2 penalty in sgd, decoupled from the gradient in "
        "adamw. The default 0 switches it off.",
    )
    rotation_rad: Annotated[float, Field(ge=0, le=3.2)] = Field(
        default=0.1,
        description="With the augmentation preset paper: largest rotation of a patch about each of "
        "the axes x, y and z, in radians, from 0 (no rotation) to 3.2.",
    )
    foreground_fraction: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="Probability, from 0 to 1, that a patch is placed at a randomly chosen labelled "
        "voxel. With the augmentation preset paper the voxel is anywhere in the patch, with the others "
        "it is at the centre. Other patches have uniformly random positions in the volume. When left "
        "out it is 0.5 with the preset strong, and 0 with the others.",
    )
    intensity: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="With the augmentation preset paper: largest random change of a patch's "
        "intensities, from 0 to below 1. The contrast is multiplied by 1 plus or minus this value; the "
        "brightness changes by up to this many standard deviations of the volume. The default 0 "
        "switches it off.",
    )
    noise: Annotated[float, Field(ge=0)] = Field(
        default=0.0,
        description="With the augmentation preset paper: standard deviation of the Gaussian noise "
        "added to every patch, in standard deviations of the volume, at least 0. The default 0 switches "
        "it off.",
    )
    max_gradient_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="Largest Euclidean norm of a step's gradient; a longer gradient is scaled down to "
        "it. When left out it is 12 with the augmentation preset strong; the others do not limit it.",
    )
    keep: Literal["last", "best"] = Field(
        default="last",
        description="Round that is tested and exported: last, or best by validation Dice, which needs "
        "more than 32 validation cases.",
    )
    validate_every: Annotated[int, Field(ge=1)] = Field(
        default=1,
        description="Number of rounds between two validations, at least 1. The last round is always "
        "validated. The default 1 validates every round.",
    )
    patience: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Number of validations in a row without a better mean validation Dice after which "
        "the training ends, at least 1; method.rounds is then the largest number of rounds. A run "
        "without validation cases is not ended. When left out, all rounds are trained.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        default="auto",
        description="Number format inside the network during training. auto is bf16 on a GPU that "
        "supports it and fp32 elsewhere. bf16 needs a GPU, or a CPU with AVX-512 BF16 or AMX and the "
        "network unet, whose blocks of few voxels then stay in fp32. Weights, loss and optimiser state "
        "are always fp32.",
    )
    compile: bool = Field(
        default=False,
        description="Whether torch.compile compiles the network at the start of every visit. "
        "Compiling takes about a minute, which only long visits on a GPU make up for.",
    )

    @model_validator(mode="after")
    def _optimizer_has_its_plugin(self) -> Self:
        if (self.optimizer == "custom") != (self.optimizer_plugin is not None):
            raise ValueError(
                'optimizer = "custom" and optimizer_plugin need each other, got optimizer = '
                f'"{self.optimizer}"'
            )
        if self.optimizer == "custom" and self.weight_decay:
            raise ValueError(
                'weight_decay has no effect with optimizer = "custom"; give it in '
                "optimizer_plugin.arguments"
            )
        return self
