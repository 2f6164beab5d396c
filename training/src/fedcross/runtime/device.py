"""Which processor PyTorch runs the networks on, and with which numbers.

PyTorch is imported where it is asked: the names here are needed without it, too.
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
"""Generation of NVIDIA's GPUs that first multiplies such matrices in hardware."""


def resolve_device(name: str) -> "torch.device":
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device that is there.

    ``auto`` is the first CUDA device, or else the CPU.

    Raises
    ------
    DeviceError
        If the name is not one of these, or there is no such device.
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
    """Turn ``auto`` or a precision into the numbers that PyTorch computes with on `device`.

    Parameters
    ----------
    name
        One of `PRECISION_CHOICES`.
    device
        Where. A GPU does without numbers that it has no hardware for; a CPU computes with all of them,
        some slowly.
    on_gpu
        What ``auto`` is on a GPU that has it; it is fp32 elsewhere.

    Raises
    ------
    ConfigError
        If the name is not one of these.
    DeviceError
        If the GPU has no hardware for them.
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
    """Refuse a name that is no precision.

    Raises
    ------
    ConfigError
        If it is none.
    """
    if name not in PRECISION_CHOICES:
        raise ConfigError(f"There is no precision {name!r}.", "Use auto, fp32, bf16 or fp16.")


def finite(said: NDArray[np.float32], precision: Precision) -> NDArray[np.float32]:
    """Return what a member says, which `precision` may have been too small for.

    Raises
    ------
    PrecisionError
        If it is not finite, and might be in fp32.
    BundleError
        If it is not finite.
    """
    if np.isfinite(said).all():
        return said
    if precision == "fp32":
        raise BundleError("This bundle's networks compute numbers that are not finite.")
    raise PrecisionError(
        f"This bundle's numbers are too large for {precision}.", "Use --precision fp32."
    )


def is_x86() -> bool:
    """Whether the CPU is of the kind on which it was measured what makes networks faster."""
    return platform.machine().lower() in ("x86_64", "amd64")


def describe_device(device: "torch.device") -> str:
    """Return `device` in words, for people."""
    import torch

    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"
