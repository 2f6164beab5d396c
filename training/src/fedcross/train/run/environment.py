"""The devices of a run, and a description of its software and hardware without names."""

import platform
from collections.abc import Sequence
from typing import Any

import torch

from fedcross.runtime.device import describe_device, resolve_device
from fedcross.runtime.versions import package_versions


def training_devices(name: str) -> tuple[torch.device, ...]:
    """Resolve the devices on which members train; each device trains one member at a time.

    Parameters
    ----------
    name
        ``auto`` (all CUDA devices, or else the CPU), ``cpu``, or CUDA devices separated by commas,
        such as ``cuda:0,cuda:1``. A CUDA device that is named twice trains two members at a time.

    Raises
    ------
    DeviceError
        If a device does not exist.
    """
    if name == "auto" and torch.cuda.is_available():
        return tuple(torch.device("cuda", index) for index in range(torch.cuda.device_count()))
    devices = tuple(resolve_device(each.strip()) for each in name.split(","))
    # A CPU is used once only: one member already uses all of its threads.
    return (
        devices if all(each.type == "cuda" for each in devices) else tuple(dict.fromkeys(devices))
    )


def describe_environment(devices: Sequence[torch.device]) -> dict[str, Any]:
    """Describe Python, operating system, devices, threads and package versions, for JSON."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "devices": [describe_device(device) for device in devices],
        "threads": torch.get_num_threads(),
        "packages": package_versions(),
    }
