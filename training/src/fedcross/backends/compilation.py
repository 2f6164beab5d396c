"""A bundle's members compiled by OpenVINO for this processor: converted once, and kept in the cache.

What is kept is named after the bundle's identity, OpenVINO's version, the processor with its
instructions and the numbers it computes with: where any of these is another, a member is converted anew.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from fedcross.backends.compiled_cache import cache_folder, read, write
from fedcross.errors import DeviceError
from fedcross.model.bundle import Bundle
from fedcross.runtime.device import Precision, is_x86

if TYPE_CHECKING:
    from torch import nn

_FORM = 4
_HINT: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_HELD_TO = "ONEDNN_MAX_CPU_ISA"
"""Environment variable with which a user holds OpenVINO's kernels to fewer instructions."""

_SUMS_ONE_BY_ONE = {"SNIPPETS_MODE": "DISABLE"}
"""Otherwise OpenVINO makes sums together that are needed at different times: about as fast, but with
Winograd's mixtures it takes 60 MB more, and a third longer to load. Not one of its documented settings;
where there is none of that name it does without."""


@cache
def import_openvino() -> Any:
    """Import OpenVINO with its telemetry off: it reports its very import to its makers otherwise.

    Nor its command-line converter, which takes longer to import than the rest and is what has the
    telemetry; OpenVINO does without it where it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    converter = "openvino.tools.ovc"
    left_out = sys.modules.setdefault(converter, None) is None  # type: ignore[arg-type]
    try:
        import openvino
    finally:
        if left_out:
            del sys.modules[converter]
    return openvino


def compile_member(core: Any, bundle: Bundle, index: int, precision: Precision) -> Any:
    """Return a member as ``openvino.CompiledModel``: patches (1, 1, d, h, w) to logits (1, C, d, h, w).

    Parameters
    ----------
    core
        ``openvino.Core``.
    bundle, index
        Which member.
    precision
        What it computes with.

    Raises
    ------
    BundleError
        If it has to be converted and its weights are missing, changed, or do not fit.
    DeviceError
        If OpenVINO has no way to compute it with this precision on this processor.
    """
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _HINT[precision],
    }
    place = cache_folder() / _name(core, bundle, precision) / f"member_{index}"
    member = bundle.manifest.members[index].sha256
    kept = read(place, member)
    if kept is not None:
        with suppress(RuntimeError):  # written by another build of the same version, say
            return core.import_model(BytesIO(kept), "CPU", settings)
    compiled = _convert_and_compile(core, bundle, index, precision, settings)
    exported = BytesIO()
    compiled.export_model(exported)
    write(place, member, exported.getvalue())
    return compiled


def _name(core: Any, bundle: Bundle, precision: Precision) -> str:
    version = import_openvino().get_version().split("-")[0]
    device = core.get_property("CPU", "FULL_DEVICE_NAME")
    abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    made_for = repr((_FORM, device, sorted(abilities), os.environ.get(_HELD_TO), precision))
    return f"{bundle.sha256[:32]}-{version}-{hashlib.sha256(made_for.encode()).hexdigest()[:12]}"


def _convert_and_compile(
    core: Any, bundle: Bundle, index: int, precision: Precision, settings: dict[str, str]
) -> Any:
    # Here and not above: what is in the cache runs without PyTorch.
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from fedcross.backends.rewrite.winograd import WinogradUNet

    network = _with_less_to_compute(bundle.load_member(index), precision)
    # Two voxels at the lowest level: quick to trace, and enough for every normalisation. Which size
    # it is does not matter, the converted network is reshaped to the patch.
    depth, height, width = bundle.manifest.architecture.reduction[::-1]
    example = torch.zeros(1, 1, 2 * depth, height, width)
    frontend = FrontEndManager().load_by_framework("pytorch")
    with torch.inference_mode(), _quiet():
        decoder = TorchScriptPythonDecoder(
            network, example_input=example, trace_kwargs={"check_trace": False}
        )
        model = frontend.convert(frontend.load(decoder))
    model.reshape([1, 1, *bundle.manifest.preprocessing.patch_size[::-1]])
    try:
        if isinstance(network, WinogradUNet):
            with suppress(RuntimeError):  # it may not know the setting
                return core.compile_model(model, "CPU", settings | _SUMS_ONE_BY_ONE)
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise DeviceError(
            f"OpenVINO cannot compute this bundle's network with {precision} on this processor.",
            "Use --backend tuned" + ("." if precision == "fp32" else ", or --precision fp32."),
        ) from error


def _with_less_to_compute(network: "nn.Module", precision: Precision) -> "nn.Module":
    """Return the same function with less to compute, where it was measured that this pays."""
    from fedcross.backends.rewrite.compose import ComposedUNet, compose_upsampling
    from fedcross.backends.rewrite.fold import fold_normalisation
    from fedcross.backends.rewrite.winograd import WinogradUNet

    if not is_x86():
        return network
    network = compose_upsampling(fold_normalisation(network))
    # Mixing slices loses digits that half precision has not got.
    if precision == "fp32" and isinstance(network, ComposedUNet):
        return WinogradUNet(network)
    return network


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch's warnings about tracing from users; the result is checked by tests."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
