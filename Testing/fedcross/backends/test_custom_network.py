from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedcross.backends.custom_network import compile_custom
from fedcross.errors import DeviceError
from fedcross.model.architecture import CustomArchitecture

ARCHITECTURE = CustomArchitecture.model_validate(
    {"plugin": {"package": "a-package", "entry": "net"}}
)
SHAPE = (1, 1, 2, 3, 4)


class Scaled:
    """A compiled model that returns the patch, multiplied by a number."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, patch: np.ndarray) -> list[np.ndarray]:
        return [patch * np.float32(self.factor)]


def compiled(result: Any) -> Any:
    def compile_network() -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    return compile_custom(nn.Identity(), ARCHITECTURE, SHAPE, compile_network)


def test_a_compiled_network_with_pytorchs_logits_up_to_rounding_is_used() -> None:
    rounded = Scaled(1.004)
    assert compiled(rounded) is rounded


@pytest.mark.parametrize("factor", [0.9, 1.1, float("nan")])
def test_a_compiled_network_with_other_logits_is_refused(factor: float) -> None:
    with pytest.raises(DeviceError, match="its logits differ by") as caught:
        compiled(Scaled(factor))
    assert caught.value.hint == "Use --backend tuned."


def test_a_network_that_cannot_be_converted_is_one_sentence() -> None:
    with pytest.raises(DeviceError) as caught:
        compiled(RuntimeError("Unknown operation.\nmore"))
    assert str(caught.value) == (
        "OpenVINO cannot compute this bundle's network: The network 'net' of the package a-package "
        "failed with RuntimeError: Unknown operation. Use --backend tuned."
    )


def test_the_comparison_leaves_the_global_generator_as_it_is() -> None:
    before = torch.random.get_rng_state()
    compiled(Scaled(1.0))
    assert torch.equal(torch.random.get_rng_state(), before)
