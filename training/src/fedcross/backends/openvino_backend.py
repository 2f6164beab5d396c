"""The execution back-end for CPUs: a member compiled by OpenVINO."""

import platform
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fedcross.backends.compilation import compiled_member, openvino
from fedcross.errors import DeviceError
from fedcross.model.bundle import Bundle
from fedcross.patches.predictor import PatchPredictor
from fedcross.runtime.device import Precision, finite


class OpenVINOBackend:
    """Members in OpenVINO, on the CPU.

    Parameters
    ----------
    precision
        ``auto``, ``fp32``, ``bf16`` or ``fp16``; ``auto`` is fp32: bf16 is about twice as fast where the
        processor has it, but moves a voxel in some thousand to the other side of a border. On small
        structures that is more than is allowed: a Dice of 0.9989 with fp32 on the worst hippocampus
        measured. No processor with fp16 was at hand.

    Raises
    ------
    DeviceError
        If bf16 or fp16 is asked for on a processor that has none.
    """

    name = "openvino"

    def __init__(self, precision: str) -> None:
        self._core = openvino().Core()
        self.precision: Precision = "fp32" if precision == "auto" else cast(Precision, precision)
        native = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if self.precision.upper() not in native:
            raise DeviceError(
                f"This CPU does not compute with {precision}.", "Use --precision fp32."
            )
        self.processor = f"{platform.machine()} CPU by OpenVINO"

    def load(self, bundle: Bundle, index: int) -> PatchPredictor:
        """Bring a member to life; see `fedcross.backends.choice.Backend`."""
        compiled = compiled_member(self._core, bundle, index, self.precision)
        return OpenVINOPredictor(compiled, self.precision, bundle.manifest.calibration.temperature)


class OpenVINOPredictor:
    """A compiled network that maps patches to probabilities.

    Parameters
    ----------
    compiled
        ``openvino.CompiledModel``: (1, 1, d, h, w) to logits (1, C, d, h, w).
    precision
        What it computes with.
    temperature
        Divides the logits.
    """

    def __init__(self, compiled: Any, precision: Precision, temperature: float) -> None:
        self._compiled, self._precision = compiled, precision
        self._request: Any = None
        self._temperature = temperature

    def __call__(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities (C, d, h, w) of a patch (d, h, w).

        Raises
        ------
        PrecisionError, BundleError
            If they are not finite, see `fedcross.runtime.device.finite`.
        """
        if self._request is None:
            self._request = self._compiled.create_infer_request()
        self._request.infer([patch[None, None]], share_inputs=True)
        # A copy: the request writes its next result to the same place.
        logits = np.array(self._request.get_output_tensor(0).data[0], dtype=np.float32)
        return softmax(finite(logits, self._precision) / np.float32(self._temperature))

    def release_memory(self) -> None:
        """Let go of the memory for a patch's features, several times that of the weights."""
        if self._request is not None:
            self._request = None
            self._compiled.release_memory()


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax over the first axis, in place."""
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits
