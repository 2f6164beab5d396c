"""With what a run computes: enough to repeat it, nothing that names a machine or a person."""

import platform
from collections.abc import Sequence
from typing import Any

import torch

from fedcross.runtime.device import describe_device, resolve_device
from fedcross.runtime.versions import package_versions


def training_devices(name: str) -> tuple[torch.device, ...]:
    """Where members train: one at a time on each of these.

    Parameters
    ----------
    name
        ``auto`` (all CUDA devices, or else the CPU), ``cpu``, or CUDA devices with commas between
        them, such as ``cuda:0,cuda:1``. One that is named twice trains two members side by side.

    Raises
    ------
    DeviceError
        If there is no such device.
    """
    if name == "auto" and torch.cuda.is_available():
        return tuple(torch.device("cuda", index) for index in range(torch.cuda.device_count()))
    devices = tuple(resolve_device(each.strip()) for each in name.split(","))
    # A CPU's threads all work on one member anyway.
    return (
        devices if all(each.type == "cuda" for each in devices) else tuple(dict.fromkeys(devices))
    )


def environment(devices: Sequence[torch.device]) -> dict[str, Any]:
    """Describe interpreter, system, devices, threads and package versions."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "devices": [describe_device(device) for device in devices],
        "threads": torch.get_num_threads(),
        "packages": package_versions(),
    }
