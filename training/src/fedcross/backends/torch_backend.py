"""The execution back-ends ``torch`` and ``tuned``, which run members with PyTorch."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedcross.backends.prefetch import Load, Prefetch
from fedcross.backends.rewrite.compose import compose_upsampling
from fedcross.backends.rewrite.fold import fold_normalisation
from fedcross.errors import DeviceError
from fedcross.model.bundle import Bundle
from fedcross.model.memory_format import choose_memory_format
from fedcross.patches.blend import Blend
from fedcross.patches.placement import Start
from fedcross.patches.predictor import PatchPredictor
from fedcross.runtime.device import (
    Precision,
    check_finite,
    describe_device,
    is_x86,
    resolve_precision,
)
from fedcross.volumes.slab import Slab


class TorchBackend:
    """Runs members with PyTorch; see `fedcross.backends.factory.Backend`.

    Parameters
    ----------
    device
        CPU or GPU on which they run.
    precision
        ``auto``, ``fp32``, ``bf16`` or ``fp16``. ``auto`` is fp32 on a CPU, and fp16 on a GPU that
        supports it: fp16 is as fast as bf16 and eight times as exact.
    tuned
        True rewrites the networks: batch normalisation is folded into the convolution before it,
        channels are stored last where this is faster, and on an x86 CPU transposed convolutions are
        composed with the convolutions after them. The results differ by rounding only. On a GPU the
        next member is loaded while the current one computes. A network of another package stays as it
        is.
    """

    def __init__(self, device: torch.device, precision: str, *, tuned: bool) -> None:
        self.name = "tuned" if tuned else "torch"
        self.processor = describe_device(device)
        self.precision: Precision = resolve_precision(precision, device, on_gpu="fp16")
        self._device = device
        self._tuned = tuned
        # On a CPU, loading ahead would need memory for two members without being faster.
        ahead = tuned and device.type == "cuda"
        self._load_network: Load = Prefetch(self._make_network) if ahead else self._make_network

    def load(self, bundle: Bundle, index: int) -> PatchPredictor:
        """Load a member; see `fedcross.backends.factory.Backend`."""
        with translate_memory_errors():
            network = self._load_network(bundle, index)
        return predictor_class(self._device)(
            network,
            device=self._device,
            precision=self.precision,
            temperature=bundle.manifest.calibration.temperature,
        )

    def _make_network(self, bundle: Bundle, index: int) -> nn.Module:
        network = bundle.load_member(index, self._device)
        if self._tuned and bundle.manifest.architecture.name != "custom":
            network = fold_normalisation(network)
            if self._device.type == "cpu" and is_x86():  # the benefit is measured on x86 only
                network = compose_upsampling(network)
            layout = choose_memory_format(network, self._device)
            # PyTorch's own types lack this overload.
            network.to(memory_format=layout)  # type: ignore[call-overload]
        return network


class TorchPredictor:
    """A network that maps patches to probabilities.

    Parameters
    ----------
    network
        Network on `device` in evaluation mode; maps (N, channels, D, H, W) to logits (N, C, D, H, W).
    device
        CPU or GPU on which it runs.
    precision
        ``bf16`` and ``fp16`` run the network under autocast. The softmax is always computed in float32.
    temperature
        The logits are divided by this before the softmax; above 0.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        device: torch.device,
        precision: Precision = "fp32",
        temperature: float = 1.0,
    ) -> None:
        self._network = network
        self._device = device
        self._precision = precision
        self._temperature = temperature

    def __call__(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities (C, d, h, w) of a patch (channels, d, h, w).

        Raises
        ------
        DeviceError
            If there is not enough memory.
        PrecisionError, BundleError
            If the result is not finite; see `fedcross.runtime.device.check_finite`.
        """
        with self._context():
            return self._to_host(self._probabilities(patch))

    def _probabilities(self, patch: NDArray[np.float32]) -> Tensor:
        """Return the probabilities (C, d, h, w) on the device."""
        batch = torch.from_numpy(patch)[None]  # (1, channels, d, h, w)
        if self._device.type == "cuda":  # pinned memory is copied while the GPU computes
            batch = batch.pin_memory()
        batch = batch.to(self._device, non_blocking=True)
        logits: Tensor = self._network(batch).float() / self._temperature  # (1, C, d, h, w)
        return logits.softmax(dim=1)[0]

    def _to_host(self, probabilities: Tensor) -> NDArray[np.float32]:
        return check_finite(probabilities.cpu().numpy(), self._precision)

    @contextmanager
    def _context(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(translate_memory_errors())
            stack.enter_context(torch.inference_mode())
            if self._precision != "fp32":
                half = torch.bfloat16 if self._precision == "bf16" else torch.float16
                stack.enter_context(torch.autocast(self._device.type, dtype=half))
            elif self._device.type == "cuda":
                # By default cuDNN's convolutions round to TF32, which has a mantissa of 10 bits.
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
            yield


class DevicePredictor(TorchPredictor):
    """A network whose patches are blended on its own device; see `TorchPredictor`."""

    def start_blend(self, classes: int, shape: Sequence[int], weight: NDArray[np.float32]) -> Blend:
        """Return a blend on the device; see `fedcross.patches.blend.Blend`."""
        with translate_memory_errors():
            return _DeviceBlend(
                self._predict_on_device,
                classes,
                shape,
                torch.from_numpy(weight).to(self._device),
                lambda shape: torch.zeros(shape, device=self._device),
                self._to_host,
            )

    def _predict_on_device(self, patch: NDArray[np.float32]) -> Tensor:
        with self._context():
            return self._probabilities(patch)


class _DeviceBlend(Blend):
    def add(self, start: Start, voxels: NDArray[np.float32]) -> None:
        with translate_memory_errors():
            super().add(start, voxels)

    def finish(self, stop: int) -> Iterator[Slab]:
        with translate_memory_errors():
            yield from super().finish(stop)

    def shift(self, sums: Tensor, count: int) -> None:
        kept = sums[:, count:].clone()  # PyTorch cannot copy between overlapping parts of a tensor
        sums[:, : kept.shape[1]] = kept
        sums[:, kept.shape[1] :] = 0


def predictor_class(device: torch.device) -> type[TorchPredictor]:
    """Return the class of predictor for a device; on a GPU it blends patches on the GPU."""
    return DevicePredictor if device.type == "cuda" else TorchPredictor


@contextmanager
def translate_memory_errors() -> Iterator[None]:
    """Raise a `DeviceError` instead of PyTorch's different out-of-memory errors."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise DeviceError(
            "The GPU's memory does not suffice for this bundle.", "Use --device cpu."
        ) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise DeviceError(
            "The memory does not suffice for this bundle.", "Close other programs."
        ) from error
