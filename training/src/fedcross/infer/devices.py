"""What there is to compute with, in words: ``python -m fedcross.infer.devices``.

Prints one JSON object::

    {"torch": "2.13.0+cpu", "gpus": [{"device": "cuda:0", "name": "...", "memory_gb": 24.0}],
     "status": "..."}

``torch`` is null where PyTorch is missing. The exit code is 0 in any case.
"""

import json
import sys
import warnings
from typing import Any


def describe(torch: Any) -> dict[str, Any]:
    """Say what an imported `torch` (None where it is missing) can compute with."""
    if torch is None:
        return {"torch": None, "gpus": [], "status": "PyTorch is not installed."}
    gpus = _gpus(torch)
    return {"torch": str(torch.__version__), "gpus": gpus, "status": _status(torch, gpus)}


def _gpus(torch: Any) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of drivers it cannot use; `_status` says so
        if not torch.cuda.is_available():
            return []
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            {
                "device": f"cuda:{index}",
                "name": str(properties.name),
                "memory_gb": round(properties.total_memory / 1024**3, 1),
            }
        )
    return found


def _status(torch: Any, gpus: list[dict[str, Any]]) -> str:
    if gpus:
        names = ", ".join(f"{gpu['name']} ({gpu['memory_gb']:g} GB)" for gpu in gpus)
        return f"GPU ready: {names}."
    if torch.version.cuda is None:
        return "No GPU: this PyTorch was built without CUDA. The CPU is used."
    reason = _driver_complaint(torch)
    return f"No GPU: {reason} The CPU is used."


def _driver_complaint(torch: Any) -> str:
    """Ask CUDA to start, for what it says about why it cannot."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        said = str(error)
        if "too old" in said:
            return "the NVIDIA driver is too old for this PyTorch; update the driver."
        if "no NVIDIA driver" in said.replace("Found no", "no"):
            return "no NVIDIA driver was found."
        return f"CUDA says: {said.splitlines()[0].rstrip('.')}."
    return "PyTorch has CUDA, but finds no graphics card."


def main() -> int:
    """Print the description and return 0."""
    try:
        import torch
    except ImportError:
        found = describe(None)
    else:
        found = describe(torch)
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
