"""The execution back-end that runs members compiled by OpenVINO on a CPU."""

import platform
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fedcross.backends.compilation import compile_member, import_openvino
from fedcross.errors import DeviceError
from fedcross.model.bundle import Bundle
from fedcross.patches.predictor import PatchPredictor
from fedcross.runtime.device import Precision, check_finite


class OpenVINOBackend:
    """Runs members with OpenVINO on the CPU; see `fedcross.backends.factory.Backend`.

    Parameters
    ----------
    precision
        ``auto``, ``fp32``, ``bf16`` or ``fp16``; ``auto`` is fp32. bf16 is about twice as fast on a
        processor that supports it, but changes the label of about one voxel in several thousand. For
        small structures this exceeds the tolerance (Dice of at least 0.999 with fp32): the lowest
        measured Dice, on a hippocampus, is 0.9989.

    Raises
    ------
    DeviceError
        If the processor does not support the precision.
    """

    name = "openvino"

    def __init__(self, precision: str) -> None:
        self._core = import_openvino().Core()
        self.precision: Precision = "fp32" if precision == "auto" else cast(Precision, precision)
        native = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if self.precision.upper() not in native:
            raise DeviceError(
                f"This CPU does not compute with {precision}.", "Use --precision fp32."
            )
        self.processor = f"{platform.machine()} CPU by OpenVINO"

    def load(self, bundle: Bundle, index: int) -> PatchPredictor:
        """Load a member; see `fedcross.backends.factory.Backend`."""
        compiled = compile_member(self._core, bundle, index, self.precision)
        return OpenVINOPredictor(compiled, self.precision, bundle.manifest.calibration.temperature)


class OpenVINOPredictor:
    """A compiled network that maps patches to probabilities.

    Parameters
    ----------
    compiled
        An ``openvino.CompiledModel`` that maps (1, channels, d, h, w) to logits (1, C, d, h, w).
    precision
        Number format in which it computes.
    temperature
        The logits are divided by this before the softmax; above 0.
    """

    def __init__(self, compiled: Any, precision: Precision, temperature: float) -> None:
        self._compiled, self._precision = compiled, precision
        self._request: Any = None
        self._temperature = temperature

    def __call__(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities (C, d, h, w) of a patch (channels, d, h, w).

        Raises
        ------
        PrecisionError, BundleError
            If the logits are not finite; see `fedcross.runtime.device.check_finite`.
        """
        if self._request is None:
            self._request = self._compiled.create_infer_request()
        self._request.infer([patch[None]], share_inputs=True)
        # Copied, because the request writes its next result to the same memory.
        logits = np.array(self._request.get_output_tensor(0).data[0], dtype=np.float32)
        return softmax(check_finite(logits, self._precision) / np.float32(self._temperature))

    def release_memory(self) -> None:
        """Release the memory for a patch's features, which is several times that of the weights."""
        if self._request is not None:
            self._request = None
            self._compiled.release_memory()


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace logits (C, ...) by their softmax over the first axis, in place, and return them."""
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits
