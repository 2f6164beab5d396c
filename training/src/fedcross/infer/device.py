"""Which processor computes, and in which number format."""

import platform
import re

import torch

from fedcross.errors import ConfigError, DeviceError

PRECISIONS = ("auto", "fp32", "bf16")


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device that is there.

    Raises
    ------
    ConfigError
        If the name is none of these.
    DeviceError
        If that GPU is absent.
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise ConfigError(f"device must be auto, cpu or cuda:N, got {name!r}.")
    index, count = int(match[1] or 0), torch.cuda.device_count()
    if not torch.cuda.is_available() or index >= count:
        there = f"there are {count} GPUs" if torch.cuda.is_available() else "there is no CUDA GPU"
        raise DeviceError(f"{name} was asked for, but {there}.", "Use --device cpu or auto.")
    return torch.device("cuda", index)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Turn ``auto``, ``fp32`` or ``bf16`` into a number format.

    ``auto`` is bfloat16 on a GPU that computes in it natively and float32 elsewhere.

    Raises
    ------
    ConfigError
        If the name is none of these.
    """
    if name not in PRECISIONS:
        raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, got {name!r}.")
    if name == "bf16":
        return torch.bfloat16
    if name == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported(False):
        return torch.bfloat16
    return torch.float32


def describe(device: torch.device) -> str:
    """Name the device in words, for a summary."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} threads)"
