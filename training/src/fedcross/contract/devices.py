"""What there is to compute with: the answer of ``python -m fedcross.infer.devices``.

The program prints one line, a JSON object such as::

    {"torch": "2.13.0+cpu", "gpus": [{"device": "cuda:0", "name": "...", "memory_gb": 24.0}],
     "status": "..."}
"""

import json
from dataclasses import asdict, dataclass

from fedcross.contract.parse import parse_json

MODULE = "fedcross.infer.devices"
"""The program is ``python -m`` this."""


@dataclass(frozen=True)
class Gpu:
    """A GPU: the name that a request takes, the name for people, and its memory in 2^30 bytes."""

    device: str
    name: str
    memory_gb: float


@dataclass(frozen=True)
class Devices:
    """PyTorch's version (None where it is missing), the usable GPUs, and the state in a sentence."""

    torch: str | None
    gpus: tuple[Gpu, ...]
    status: str

    def line(self) -> str:
        """Return it as one line of JSON without a line feed."""
        return json.dumps(asdict(self))


def read_devices(line: str) -> Devices | None:
    """Return what a line holds; None if it is no such line."""
    try:
        found = parse_json(line)
        gpus = tuple(
            Gpu(str(gpu["device"]), str(gpu["name"]), float(gpu["memory_gb"]))
            for gpu in found["gpus"]
        )
        torch = found["torch"]
        return Devices(None if torch is None else str(torch), gpus, str(found["status"]))
    except (ValueError, TypeError, KeyError):
        return None
