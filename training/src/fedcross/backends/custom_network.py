"""Compile a network of another package with OpenVINO, and compare what it computes.

The conversion records the operations for one patch. A network whose operations depend on the numbers in
the patch would be converted wrongly, so the results for another patch are compared.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from fedcross.errors import DeviceError, PluginError
from fedcross.model.architecture import CustomArchitecture
from fedcross.runtime.plugins import explain_failure

TOLERANCE = 0.05
"""Largest difference of the logits, as a share of their largest absolute value: more than rounding to
bf16 causes, one part in 256 for a number, and less than a wrong conversion."""

HINT = "Use --backend tuned."


def compile_custom(
    network: nn.Module,
    architecture: CustomArchitecture,
    shape: tuple[int, ...],
    compile_network: Callable[[], Any],
) -> Any:
    """Convert and compile a network, and compare its logits for a random patch with PyTorch's.

    Parameters
    ----------
    network
        The network on the CPU in evaluation mode.
    architecture
        Its entry point, for messages.
    shape
        Shape (1, C, d, h, w) of a patch.
    compile_network
        Returns the ``openvino.CompiledModel``.

    Raises
    ------
    DeviceError
        If the network cannot be converted, or the logits differ by more than `TOLERANCE`.
    """
    subject = f"The network {architecture.plugin}"
    try:
        with explain_failure(subject):
            compiled = compile_network()
    except PluginError as error:
        message = f"OpenVINO cannot compute this bundle's network: {error.message}"
        raise DeviceError(message, HINT) from error
    patch = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(patch)
    found = torch.from_numpy(compiled(patch.numpy())[0])
    difference = float((found - expected).abs().max() / expected.abs().max().clamp_min(1e-6))
    if not difference <= TOLERANCE:
        raise DeviceError(
            f"{subject} cannot be used with OpenVINO: its logits differ by {difference:.1%}.", HINT
        )
    return compiled
