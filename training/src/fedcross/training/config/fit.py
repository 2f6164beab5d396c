"""Whether the sections of a configuration fit together. Every function raises ValueError if not."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedcross.training.config.configuration import TrainingConfig


def check_names(config: "TrainingConfig") -> None:
    """Check labels and names of structures and sites, and the number of classes and members."""
    labels = [structure.label for structure in config.structures]
    if labels != list(range(1, len(labels) + 1)):
        raise ValueError(f"structures must have labels 1, 2, 3 ... in order, got {labels}")
    if len({structure.slug for structure in config.structures}) != len(labels):
        raise ValueError("two structures have the same name")
    names = [site.name for site in config.sites]
    if len(set(names)) != len(names):
        raise ValueError(f"two sites have the same name, got {', '.join(names)}")
    if config.network.classes != len(labels) + 1:
        raise ValueError(
            f"network.classes must be {len(labels) + 1} (background and {len(labels)} "
            f"structures), got {config.network.classes}"
        )
    if config.members > len(names):
        raise ValueError(
            f"method.members must be at most the number of sites, {len(names)}, "
            f"got {config.members}"
        )


def check_patch(config: "TrainingConfig") -> None:
    """Check that the network can compute the patch."""
    network, patch = config.network, config.preprocessing.patch_size
    channels = config.preprocessing.channel_count
    if network.in_channels != channels:
        raise ValueError(
            f"network.in_channels must be {channels}, the number of preprocessing.channels, "
            f"got {network.in_channels}"
        )
    if not network.divides(patch):
        raise ValueError(
            f"preprocessing.patch_size must be multiples of {network.divisors} for the "
            f"network {network.name}, got {list(patch)}"
        )
    if network.lowest_voxels(patch) == 1:
        raise ValueError(
            f"preprocessing.patch_size must be larger than {network.divisors} along an "
            "axis, or nothing is left to normalise at the network's lowest level"
        )


def check_options(config: "TrainingConfig") -> None:
    """Check options whose range depends on another section."""
    if config.engine.clip_norm is not None and config.network.norm == "batch":
        raise ValueError(
            'engine.clip_norm needs network.norm = "instance" or "group", got "batch", whose '
            "statistics would not survive the noise"
        )
    if config.training.warmup_epochs >= max(1, config.total_epochs):
        raise ValueError(
            f"training.warmup_epochs must be below the run's {config.total_epochs} local epochs, "
            f"got {config.training.warmup_epochs}"
        )
    weights, classes = config.loss.class_weights, config.network.classes
    if weights and len(weights) != classes:
        raise ValueError(
            f"loss.class_weights must have {classes} values, the background's and one for every "
            f"structure, got {len(weights)}"
        )
