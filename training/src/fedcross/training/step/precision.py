"""The precision of the arithmetic inside a network while it trains."""

import torch
from torch import nn

from fedcross.errors import ConfigError
from fedcross.model.networks import UNet
from fedcross.runtime.device import Precision, resolve_precision
from fedcross.training.config.configuration import TrainingConfig


def training_precision(config: TrainingConfig, device: torch.device) -> Precision:
    """Return the precision of the arithmetic inside the network while it trains on a device.

    Raises
    ------
    ConfigError
        If bf16 is asked for on a CPU that has no instructions for it, or for another network than
        ``unet``; see `allow_bf16_on_cpu`.
    """
    precision = resolve_precision(config.training.precision, device)
    if precision == "bf16" and device.type == "cpu":
        if config.network.name != "unet":
            raise ConfigError(
                'training.precision = "bf16" on a CPU needs network.name = "unet", '
                f"got {config.network.name}.",
                "Use auto or fp32.",
            )
        if not cpu_has_bf16():
            raise ConfigError(
                "training.precision is bf16, for which this processor has no instructions.",
                "Use auto or fp32.",
            )
    return precision


def cpu_has_bf16() -> bool:
    """Return whether this CPU multiplies bf16 in hardware (AVX-512 BF16 or AMX)."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def allow_bf16_on_cpu(network: nn.Module) -> None:
    """Let the blocks of few voxels compute in float32 under autocast.

    On a CPU with AVX-512 BF16 the weight gradients of bf16 convolutions over few voxels contain
    uninitialised memory now and then (PyTorch 2.13): the numbers differ from run to run and may be NaN.
    The blocks of many voxels, which take most of the time, are not affected.

    Parameters
    ----------
    network
        A U-Net that trains on a CPU; changed in place.
    """
    if isinstance(network, UNet):
        network.coarse_in_float32 = True
