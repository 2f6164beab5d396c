"""Names the devices that can compute: ``python -m fedcross.infer.devices``.

Prints one line, see `fedcross.contract.devices`. The exit code is always 0.
"""

import sys
import warnings
from typing import Any

from fedcross.contract.devices import Devices, Gpu


def describe(torch: Any) -> Devices:
    """Return what PyTorch can compute with.

    Parameters
    ----------
    torch
        The imported package; None where it is missing.
    """
    if torch is None:
        return Devices(None, (), "PyTorch is not installed.")
    gpus = _gpus(torch)
    return Devices(str(torch.__version__), gpus, _status(torch, gpus))


def _gpus(torch: Any) -> tuple[Gpu, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about drivers that PyTorch cannot use: see `_status`
        if not torch.cuda.is_available():
            return ()
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory_gb = round(properties.total_memory / 1024**3, 1)
        found.append(Gpu(f"cuda:{index}", str(properties.name), memory_gb))
    return tuple(found)


def _status(torch: Any, gpus: tuple[Gpu, ...]) -> str:
    if gpus:
        return f"GPU ready: {', '.join(f'{gpu.name} ({gpu.memory_gb:g} GB)' for gpu in gpus)}."
    if torch.version.cuda is None:
        return "No GPU: this PyTorch was built without CUDA. The CPU is used."
    return f"No GPU: {_cuda_error(torch)} The CPU is used."


def _cuda_error(torch: Any) -> str:
    """Return why CUDA cannot be used, in a sentence: the error that it raises when it starts."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        text = str(error)
        if "too old" in text:
            return "the NVIDIA driver is too old for this PyTorch; update the driver."
        if "no NVIDIA driver" in text.replace("Found no", "no"):
            return "no NVIDIA driver was found."
        return f"CUDA reports: {text.splitlines()[0].rstrip('.')}."
    return "PyTorch has CUDA, but finds no graphics card."


def main() -> int:
    """Print the description and return 0."""
    try:
        import torch
    except ImportError:
        found = describe(None)
    else:
        found = describe(torch)
    print(found.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
