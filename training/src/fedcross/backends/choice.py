"""Which execution back-end runs the members: chosen by what the machine has, or by name.

============  ================================================================================
``torch``     PyTorch as it is: what the others are compared with
``tuned``     PyTorch with less to compute (`fedcross.backends.rewrite.fold`,
              `fedcross.backends.rewrite.compose`) and channels last; on a GPU patches are blended
              there, and the next member is loaded while one computes
``openvino``  OpenVINO on a CPU: the fastest there, with still less to compute in fp32
              (`fedcross.backends.rewrite.winograd`). PyTorch is not imported once the members have
              been compiled and stored (`fedcross.backends.compilation`)
============  ================================================================================

``auto`` is ``openvino`` on a CPU where it is installed, else ``tuned``.
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
    """Runs members one at a time.

    Attributes
    ----------
    name
        One of `BACKENDS`.
    precision
        What the networks compute with.
    processor
        Where, in words.
    """

    name: str
    precision: Precision
    processor: str

    def load(self, bundle: Bundle, index: int) -> PatchPredictor:
        """Bring member `index` of a bundle to life.

        Raises
        ------
        BundleError
            If its weights are missing, changed, or do not fit.
        DeviceError
            If the memory does not suffice.
        """


def choose_backend(backend: str, device: str, precision: str) -> Backend:
    """Return the back-end for a name, a device and a precision, each of which may be ``auto``.

    Parameters
    ----------
    backend
        One of `BACKENDS`.
    device
        As `fedcross.runtime.device.resolve_device` takes it.
    precision
        ``auto``, ``fp32``, ``bf16`` or ``fp16``; ``auto`` is fp16 on a GPU that has it, and fp32 on a
        CPU.

    Raises
    ------
    ConfigError
        If a name is not one of these.
    DeviceError
        If the device is not there, or the back-end is not installed or not for this device.
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
            raise DeviceError("OpenVINO is not installed.", "pip install openvino.")
        return _openvino(precision)
    if backend == "auto" and _has_openvino() and _is_cpu(device):
        return _openvino(precision)
    # Here and not above, as below: each brings a library of its own, slow to import.
    from fedcross.backends.torch_backend import TorchBackend

    return TorchBackend(resolve_device(device), precision, tuned=backend != "torch")


def _openvino(precision: str) -> Backend:
    from fedcross.backends.openvino_backend import OpenVINOBackend

    return OpenVINOBackend(precision)


def _is_cpu(device: str) -> bool:
    """Whether a name stands for the CPU; PyTorch is only asked where there may be a GPU."""
    if device == "auto":
        return not _may_have_gpu() or resolve_device(device).type == "cpu"
    return device == "cpu"


def _has_openvino() -> bool:
    return importlib.util.find_spec("openvino") is not None


def _may_have_gpu() -> bool:
    """Whether there is an NVIDIA driver: without one, PyTorch need not be asked."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
