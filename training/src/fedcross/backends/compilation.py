"""Compile a bundle's members with OpenVINO for this processor, and cache the compiled members.

The name of a cache entry contains the bundle's hash, OpenVINO's version, and a hash of the processor,
its instruction sets and the precision. If any of these differs, the member is compiled again.
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

from fedcross.backends.compiled_cache import read, write
from fedcross.errors import DeviceError
from fedcross.model.architecture import CustomArchitecture
from fedcross.model.bundle import Bundle
from fedcross.model.member_file import check_member_file
from fedcross.runtime.device import Precision, is_x86
from fedcross.runtime.files.cache_folder import cache_folder

if TYPE_CHECKING:
    from torch import Tensor, nn

_FORMAT = 4
"""Version of the cached data; raise it if the rewriting of networks changes."""
_HINT: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_MAX_INSTRUCTION_SET = "ONEDNN_MAX_CPU_ISA"
"""Environment variable that limits the instruction set of OpenVINO's kernels."""

_NO_SNIPPETS = {"SNIPPETS_MODE": "DISABLE"}
"""Disables the fusion of element-wise operations into larger kernels ("snippets"). Networks with
Winograd convolutions are about as fast without it, need 60 MB less and load in three quarters of the
time. The setting is not documented; versions of OpenVINO without it refuse it."""


@cache
def import_openvino() -> Any:
    """Import OpenVINO without telemetry, which otherwise sends usage data to its developers on import.

    The model converter ``openvino.tools.ovc``, which contains the telemetry, is not imported either: it
    takes longer to import than the rest, and OpenVINO treats it as optional.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    converter = "openvino.tools.ovc"
    is_blocked = sys.modules.setdefault(converter, None) is None  # type: ignore[arg-type]
    try:
        import openvino
    finally:
        if is_blocked:
            del sys.modules[converter]
    return openvino


def compile_member(core: Any, bundle: Bundle, index: int, precision: Precision) -> Any:
    """Return a compiled member, from the cache if it is there.

    Parameters
    ----------
    core
        An ``openvino.Core``.
    bundle
        The bundle.
    index
        Index of the member, from 0.
    precision
        Number format in which the member computes.

    Returns
    -------
    openvino.CompiledModel
        Maps patches (1, channels, d, h, w) to logits (1, C, d, h, w).

    Raises
    ------
    BundleError
        If the member's file is missing or was changed, or its weights do not fit the network.
    DeviceError
        If OpenVINO cannot compute the network with this precision on this processor, or computes
        something else for a network of another package.
    """
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _HINT[precision],
    }
    member = bundle.manifest.members[index]
    # Also for a member in the cache: a damaged bundle is refused on every machine.
    check_member_file(bundle.path / member.file, member.sha256)
    folder = cache_folder()
    if folder is None:
        return _convert_and_compile(core, bundle, index, precision, settings)
    entry = folder / "openvino" / _entry_name(core, bundle, precision) / f"member_{index}"
    cached = read(entry, member.sha256)
    if cached is not None:
        with suppress(RuntimeError):  # for example written by another build of the same version
            return core.import_model(BytesIO(cached), "CPU", settings)
    compiled = _convert_and_compile(core, bundle, index, precision, settings)
    exported = BytesIO()
    compiled.export_model(exported)
    write(entry, member.sha256, exported.getvalue())
    return compiled


def _entry_name(core: Any, bundle: Bundle, precision: Precision) -> str:
    version = import_openvino().get_version().split("-")[0]
    device = core.get_property("CPU", "FULL_DEVICE_NAME")
    capabilities = sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    limit = os.environ.get(_MAX_INSTRUCTION_SET)
    target = repr((_FORMAT, device, capabilities, limit, precision))
    return f"{bundle.sha256[:32]}-{version}-{hashlib.sha256(target.encode()).hexdigest()[:12]}"


def _convert_and_compile(
    core: Any, bundle: Bundle, index: int, precision: Precision, settings: dict[str, str]
) -> Any:
    # Imported here, because cached members run without PyTorch.
    import torch

    from fedcross.backends.custom_network import compile_custom
    from fedcross.backends.rewrite.winograd_unet import WinogradUNet

    architecture, network = bundle.manifest.architecture, bundle.load_member(index)
    patch = (1, architecture.in_channels, *bundle.manifest.preprocessing.patch_size[::-1])
    if isinstance(architecture, CustomArchitecture):
        return compile_custom(
            network,
            architecture,
            patch,
            lambda: core.compile_model(_convert(network, torch.zeros(patch)), "CPU", settings),
        )
    network = _rewrite(network, precision)
    # The size of the example does not matter, because the converted network is reshaped to the patch.
    # Two voxels a side at the lowest level are fast to trace and enough for every normalisation.
    depth, height, width = architecture.reduction[::-1]
    model = _convert(network, torch.zeros(1, architecture.in_channels, 2 * depth, height, width))
    model.reshape(list(patch))
    try:
        if isinstance(network, WinogradUNet):
            with suppress(RuntimeError):  # the setting may not exist in this version
                return core.compile_model(model, "CPU", settings | _NO_SNIPPETS)
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise DeviceError(
            f"OpenVINO cannot compute this bundle's network with {precision} on this processor.",
            "Use --backend tuned" + ("." if precision == "fp32" else ", or --precision fp32."),
        ) from error


def _convert(network: "nn.Module", example: "Tensor") -> Any:
    """An ``openvino.Model`` of what a network computes for an example."""
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    with torch.inference_mode(), _hide_warnings():
        decoder = TorchScriptPythonDecoder(
            network, example_input=example, trace_kwargs={"check_trace": False}
        )
        return frontend.convert(frontend.load(decoder))


def _rewrite(network: "nn.Module", precision: Precision) -> "nn.Module":
    """Return a network that computes the same function with fewer operations, on x86 processors.

    On other processors the network is returned unchanged, because the benefit is not measured there.
    """
    from fedcross.backends.rewrite.compose import ComposedUNet, compose_upsampling
    from fedcross.backends.rewrite.fold import fold_normalisation
    from fedcross.backends.rewrite.winograd_unet import WinogradUNet

    if not is_x86():
        return network
    network = compose_upsampling(fold_normalisation(network))
    # Winograd's sums of slices lose digits, which half precision cannot spare.
    if precision == "fp32" and isinstance(network, ComposedUNet):
        return WinogradUNet(network)
    return network


@contextmanager
def _hide_warnings() -> Iterator[None]:
    """Hide PyTorch's warnings about tracing; tests check that the result is right."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
