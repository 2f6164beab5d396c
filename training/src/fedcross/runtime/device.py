"""Choose the device and the number format with which PyTorch runs the networks.

PyTorch is imported inside the functions, because the names of this module are also needed without it.
"""

import platform
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from fedcross.contract.request import PRECISION_CHOICES
from fedcross.contract.request import Precision as Precision
from fedcross.errors import BundleError, ConfigError, DeviceError, PrecisionError

if TYPE_CHECKING:
    import torch

_USE_CPU = "Use --device cpu."
_FIRST_WITH: dict[Precision, int] = {"fp16": 7, "bf16": 8}
"""Lowest major compute capability of an NVIDIA GPU that multiplies such matrices in hardware."""


def resolve_device(name: str) -> "torch.device":
    """Return the device of a name and check that it exists.

    Parameters
    ----------
    name
        ``auto``, ``cpu``, ``cuda`` or for example ``cuda:1``. ``auto`` is the first GPU, or the CPU if
        there is no GPU.

    Raises
    ------
    DeviceError
        If the name is invalid or the device does not exist.
    """
    import torch

    if name == "cpu":
        return torch.device("cpu")
    kind, _, index = name.partition(":")
    if name != "auto" and (kind != "cuda" or name.endswith(":") or not (index or "0").isdecimal()):
        raise DeviceError(f"There is no device {name!r}.", "Use auto, cpu, or cuda:0.")
    if not torch.cuda.is_available():
        if name == "auto":
            return torch.device("cpu")
        raise DeviceError(f"No GPU can be used here, but {name} was asked for.", _USE_CPU)
    number = int(index or 0)
    if number >= torch.cuda.device_count():
        raise DeviceError(
            f"There is no {name}: this machine has {torch.cuda.device_count()} GPUs.", _USE_CPU
        )
    return torch.device("cuda", number)


def resolve_precision(
    name: str, device: "torch.device", *, on_gpu: Precision = "bf16"
) -> Precision:
    """Return the precision with which PyTorch computes on a device.

    Parameters
    ----------
    name
        One of `PRECISION_CHOICES`.
    device
        CPU or GPU. A GPU is used only with a precision that its hardware supports. A CPU can compute
        with every precision, but half precision may be slow.
    on_gpu
        Precision that ``auto`` selects on a GPU that supports it; otherwise ``auto`` selects fp32.

    Raises
    ------
    ConfigError
        If the name is unknown.
    DeviceError
        If the GPU does not support the precision.
    """
    check_precision(name)
    if device.type != "cuda":
        return "fp32" if name == "auto" else cast(Precision, name)
    import torch

    wanted = on_gpu if name == "auto" else cast(Precision, name)
    if wanted == "fp32" or torch.cuda.get_device_capability(device)[0] >= _FIRST_WITH[wanted]:
        return wanted
    if name != "auto":
        raise DeviceError(f"This GPU does not compute with {name}.", "Use --precision fp32.")
    return "fp32"


def check_precision(name: str) -> None:
    """Check that a name is one of `PRECISION_CHOICES`.

    Raises
    ------
    ConfigError
        If it is not.
    """
    if name not in PRECISION_CHOICES:
        raise ConfigError(f"There is no precision {name!r}.", "Use auto, fp32, bf16 or fp16.")


def check_finite(output: NDArray[np.float32], precision: Precision) -> NDArray[np.float32]:
    """Return the output of a network after checking that all its numbers are finite.

    Parameters
    ----------
    output
        Logits or probabilities, any shape.
    precision
        Precision in which the network computed them.

    Raises
    ------
    PrecisionError
        If a number is not finite in half precision; it may be finite in fp32.
    BundleError
        If a number is not finite in fp32.
    """
    if np.isfinite(output).all():
        return output
    if precision == "fp32":
        raise BundleError("This bundle's networks compute numbers that are not finite.")
    raise PrecisionError(
        f"This bundle's numbers are too large for {precision}.", "Use --precision fp32."
    )


def is_x86() -> bool:
    """Whether the CPU is an x86-64 processor; the benefit of rewritten networks is measured there."""
    return platform.machine().lower() in ("x86_64", "amd64")


def describe_device(device: "torch.device") -> str:
    """Return the name of a device for users, for example "CPU, 4 threads"."""
    import torch

    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"
