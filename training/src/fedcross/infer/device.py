"""Which processor PyTorch runs the networks on, and with which numbers.

PyTorch is imported where it is asked: the names here are needed without it, too.
"""

import platform
from typing import TYPE_CHECKING, Literal, cast, get_args

from fedcross.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]
PrecisionChoice = Literal["auto", "fp32", "bf16"]
PRECISION_CHOICES: tuple[str, ...] = get_args(PrecisionChoice)

_USE_CPU = "Use --device cpu."


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


def resolve_precision(name: str, device: "torch.device") -> Precision:
    """Turn ``auto``, ``fp32`` or ``bf16`` into the numbers that `device` computes with.

    ``auto`` is bf16 on a GPU that has it, and fp32 elsewhere.

    Raises
    ------
    ConfigError
        If the name is not one of these.
    DeviceError
        If the GPU does not compute with bf16.
    """
    import torch

    check_precision(name)
    on_gpu = device.type == "cuda"
    if name == "auto":
        return "bf16" if on_gpu and torch.cuda.is_bf16_supported() else "fp32"
    if name == "bf16" and on_gpu and not torch.cuda.is_bf16_supported():
        raise DeviceError("This GPU does not compute with bf16.", "Use --precision fp32.")
    return cast(Precision, name)


def check_precision(name: str) -> None:
    """Refuse a name that is no precision.

    Raises
    ------
    ConfigError
        If it is none.
    """
    if name not in PRECISION_CHOICES:
        raise ConfigError(f"There is no precision {name!r}.", "Use auto, fp32 or bf16.")


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
