"""The device and the precision with which the networks are computed.

PyTorch is imported in the functions that need it, so that this module can be imported without it.
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
_FIRST_CAPABILITY: dict[Precision, int] = {"fp16": 7, "bf16": 8}
"""First compute capability (major number) of NVIDIA GPUs that multiply such matrices in hardware."""


def resolve_device(name: str) -> "torch.device":
    """Return the device with a name.

    Parameters
    ----------
    name
        ``cpu``, ``cuda`` (the first GPU), ``cuda:N``, or ``auto``: the first GPU if there is one,
        else the CPU.

    Raises
    ------
    DeviceError
        If the name is not one of these, or this machine has no such device.
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
        Device that computes. A CPU can compute with every precision, with some of them slowly.
    on_gpu
        Meaning of ``auto`` on a GPU that has hardware for it. Elsewhere ``auto`` means fp32.

    Raises
    ------
    ConfigError
        If the name is not one of `PRECISION_CHOICES`.
    DeviceError
        If the GPU has no hardware for this precision.
    """
    check_precision(name)
    if device.type != "cuda":
        return "fp32" if name == "auto" else cast(Precision, name)
    import torch

    wanted = on_gpu if name == "auto" else cast(Precision, name)
    if wanted == "fp32" or torch.cuda.get_device_capability(device)[0] >= _FIRST_CAPABILITY[wanted]:
        return wanted
    if name != "auto":
        raise DeviceError(f"This GPU does not compute with {name}.", "Use --precision fp32.")
    return "fp32"


def check_precision(name: str) -> None:
    """Check the name of a precision.

    Raises
    ------
    ConfigError
        If it is not one of `PRECISION_CHOICES`.
    """
    if name not in PRECISION_CHOICES:
        raise ConfigError(f"There is no precision {name!r}.", "Use auto, fp32, bf16 or fp16.")


def check_finite(values: NDArray[np.float32], precision: Precision) -> NDArray[np.float32]:
    """Return a member's output if all its values are finite.

    Parameters
    ----------
    values
        Logits or probabilities, any shape.
    precision
        Precision with which they were computed.

    Raises
    ------
    PrecisionError
        If a value is not finite and `precision` is not fp32, in which it might be.
    BundleError
        If a value is not finite in fp32.
    """
    if np.isfinite(values).all():
        return values
    if precision == "fp32":
        raise BundleError("This bundle's networks compute numbers that are not finite.")
    raise PrecisionError(
        f"This bundle's numbers are too large for {precision}.", "Use --precision fp32."
    )


def is_x86() -> bool:
    """Return whether the CPU is an x86-64 one, for which the rewriting of networks was measured."""
    return platform.machine().lower() in ("x86_64", "amd64")


def describe_device(device: "torch.device") -> str:
    """Return a device's name for people, such as ``CPU, 4 threads``."""
    import torch

    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"
