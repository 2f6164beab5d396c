"""Choose the execution back-end that runs the members, by name or by what the machine has.

============  ================================================================================
``torch``     PyTorch without changes to the networks; the reference for the other back-ends.
``tuned``     PyTorch with rewritten networks that need fewer operations
              (`fedcross.backends.rewrite`) and with channels last. On a GPU, patches are blended
              on the GPU, and the next member is loaded while the current one computes.
``openvino``  OpenVINO on a CPU, where it is the fastest back-end. In fp32 the networks use
              Winograd convolutions (`fedcross.backends.rewrite.winograd`). Compiled members are
              cached (`fedcross.backends.compilation`); with a filled cache PyTorch is not imported.
============  ================================================================================

``auto`` is ``openvino`` on a CPU if OpenVINO is installed, else ``tuned``.
"""

import ctypes
import importlib.util
import sys
from typing import Protocol

from fedcross.contract.request import BACKENDS
from fedcross.errors import ConfigError, DeviceError
from fedcross.model.bundle import Bundle
from fedcross.patches.predictor import PatchPredictor
from fedcross.runtime.device import Precision, check_precision, resolve_device


class Backend(Protocol):
    """An execution back-end; it loads members, which are then run on patches.

    Attributes
    ----------
    name
        One of `BACKENDS`, but not ``auto``.
    precision
        Number format in which the networks compute.
    processor
        Name of the processor for users.
    """

    name: str
    precision: Precision
    processor: str

    def load(self, bundle: Bundle, index: int) -> PatchPredictor:
        """Load member `index` (from 0) of a bundle.

        Raises
        ------
        BundleError
            If the weights are missing, were changed, or do not fit the network.
        DeviceError
            If there is not enough memory, or the processor cannot compute the network.
        """


def choose_backend(backend: str, device: str, precision: str) -> Backend:
    """Return the back-end for a name, a device and a precision, each of which may be ``auto``.

    Parameters
    ----------
    backend
        One of `BACKENDS`.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:1``; see `fedcross.runtime.device.resolve_device`.
    precision
        ``auto``, ``fp32``, ``bf16`` or ``fp16``. ``auto`` is fp16 on a GPU that supports it, else fp32.

    Raises
    ------
    ConfigError
        If the back-end or the precision is unknown.
    DeviceError
        If the device does not exist, the back-end is not installed, or it cannot run on this device.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"There is no back-end {backend!r}.", f"Use {', '.join(BACKENDS)}.")
    check_precision(precision)
    if backend == "openvino":
        if device not in ("auto", "cpu"):
            raise DeviceError(
                f"OpenVINO runs on the CPU here, not on {device}.", "Use --device cpu."
            )
        if not _has_openvino():
            raise DeviceError("OpenVINO is not installed.", "Install it: pip install openvino")
        return _openvino(precision)
    if backend == "auto" and _has_openvino() and _is_cpu(device):
        return _openvino(precision)
    # Imported here, as below, because each back-end imports a large library.
    from fedcross.backends.torch_backend import TorchBackend

    return TorchBackend(resolve_device(device), precision, tuned=backend != "torch")


def _openvino(precision: str) -> Backend:
    from fedcross.backends.openvino_backend import OpenVINOBackend

    return OpenVINOBackend(precision)


def _is_cpu(device: str) -> bool:
    """Whether a device name selects the CPU; PyTorch is imported only if there may be a GPU."""
    if device == "auto":
        return not _may_have_gpu() or resolve_device(device).type == "cpu"
    return device == "cpu"


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _may_have_gpu() -> bool:
    """Whether an NVIDIA driver is installed; without one PyTorch cannot find a GPU."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
