import os
import subprocess
import sys

import pytest
import torch

from fedcross.errors import ConfigError
from fedcross.model.architecture import SegResNetArchitecture, UNetArchitecture
from fedcross.model.networks import build_network, initialise
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.volumes import Site
from fedcross.training.step import precision
from fedcross.training.step.precision import (
    allow_bf16_on_cpu,
    cpu_has_bf16,
    training_precision,
)
from fedcross.training.step.visit import visit

needs_bf16 = pytest.mark.skipif(not cpu_has_bf16(), reason="needs a CPU with bf16")

# Train a few passes over memory that holds NaN, and print how many gradients differ from the first.
PASSES = """
import torch
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.networks import build_network, initialise
from fedcross.training.step.precision import allow_bf16_on_cpu

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(3)
network = build_network(UNetArchitecture(base_channels=4, norm="instance", classes=2))
initialise(network, generator)
network.to(memory_format=torch.channels_last_3d)
allow_bf16_on_cpu(network)
images = torch.randn(4, 1, 16, 64, 64, generator=generator)
first, different = None, 0
for index in range(8):
    for size in (10**3, 10**4, 10**5, 10**6) * (index % 2):
        torch.full((size,), float("nan"))
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images)
    logits.float().square().mean().backward()
    gradient = torch.cat([p.grad.flatten() for p in network.parameters()])
    first = gradient if first is None else first
    different += not torch.equal(first, gradient)
print(different, bool(torch.isfinite(first).all()))
"""


def with_precision(config: TrainingConfig, name: str) -> TrainingConfig:
    training = config.training.model_copy(update={"precision": name})
    return config.model_copy(update={"training": training})


@needs_bf16
@pytest.mark.parametrize("instructions", ["DEFAULT", "AVX512_CORE_BF16"])
def test_bf16_gradients_on_a_cpu_are_finite_and_repeatable(instructions: str) -> None:
    # The faults are in the kernels for AVX-512 BF16, which a processor with AMX does not choose itself.
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    done = subprocess.run(
        [sys.executable, "-c", PASSES], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "True"]


@needs_bf16
def test_a_visit_in_bf16_on_a_cpu_learns_as_in_fp32(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    (member, *_) = config.method.first_members(config.network, len(sites), config.seed)
    _, exact = visit(member, sites[0], 0, with_precision(config, "fp32"), cpu)
    after, rough = visit(member, sites[0], 0, with_precision(config, "bf16"), cpu)
    assert rough.loss == pytest.approx(exact.loss, rel=0.02)
    assert rough.loss != exact.loss
    kinds = {t.dtype for t in after.to_tensors().values() if t.is_floating_point()}
    assert kinds == {torch.float32}


def test_only_blocks_of_many_voxels_compute_in_bf16() -> None:
    network = build_network(UNetArchitecture(base_channels=2, norm="instance", classes=2))
    initialise(network, torch.Generator().manual_seed(0))
    allow_bf16_on_cpu(network)
    kinds = {}
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Conv3d):
            layer.register_forward_hook(
                lambda _, __, output, name=name: kinds.update({name: output.dtype})
            )
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(1, 1, 16, 32, 32))
    coarse = ("enc3", "enc4", "dec1", "dec2", "dec3")
    for name, kind in kinds.items():
        assert kind == (torch.float32 if name.startswith(coarse) else torch.bfloat16), name


def test_without_autocast_the_result_is_the_same() -> None:
    network = build_network(UNetArchitecture(base_channels=2, norm="instance", classes=2))
    initialise(network, torch.Generator().manual_seed(0))
    image = torch.randn(1, 1, 16, 16, 32)
    before = network(image)
    allow_bf16_on_cpu(network)
    assert torch.equal(network(image), before)


def test_auto_is_fp32_on_a_cpu(config: TrainingConfig, cpu: torch.device) -> None:
    assert training_precision(with_precision(config, "auto"), cpu) == "fp32"


def test_bf16_without_instructions_or_with_another_network_is_refused(
    config: TrainingConfig, cpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    rough = with_precision(config, "bf16")
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    with pytest.raises(ConfigError, match=r"this processor has no instructions.*Use auto or fp32"):
        training_precision(rough, cpu)
    other = rough.model_copy(update={"network": SegResNetArchitecture(classes=2)})
    with pytest.raises(ConfigError, match=r'needs network.name = "unet", got segresnet'):
        training_precision(other, cpu)
