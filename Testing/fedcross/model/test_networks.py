import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from fedcross.model.architecture import (
    Architecture,
    DynUNetArchitecture,
    SegResNetArchitecture,
    UNetArchitecture,
)
from fedcross.model.networks import EnsembleNetwork, build_network, initialise


def test_the_reference_network_has_as_many_parameters_as_published() -> None:
    with torch.device("meta"):
        network = build_network(UNetArchitecture(norm="batch"))
    assert sum(p.numel() for p in network.parameters()) == 10_739_906


def test_the_parameters_have_the_names_of_the_reference() -> None:
    names = set(build_network(UNetArchitecture(base_channels=2, norm="batch")).state_dict())
    blocks = [f"{side}{i}.conv.conv" for side in ("enc", "dec") for i in (1, 2, 3, 4)]
    expected = {"outconv.weight", "outconv.bias"}
    for block in [*blocks, "lastconv.conv"]:
        for layer in (0, 3):
            expected |= {f"{block}.{layer}.{kind}" for kind in ("weight", "bias")}
        for layer in (1, 4):
            expected |= {
                f"{block}.{layer}.{kind}"
                for kind in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
            }
    expected |= {f"dec{i}.up.{kind}" for i in (1, 2, 3, 4) for kind in ("weight", "bias")}
    assert names == expected


def plain_unet(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Compute the layers of the published network with PyTorch's functions."""

    def pair(block: str, x: Tensor) -> Tensor:
        for conv, norm in ((0, 1), (3, 4)):
            x = F.conv3d(
                x, state[f"{block}.{conv}.weight"], state[f"{block}.{conv}.bias"], padding=1
            )
            mean, var = state[f"{block}.{norm}.running_mean"], state[f"{block}.{norm}.running_var"]
            x = F.batch_norm(
                x, mean, var, state[f"{block}.{norm}.weight"], state[f"{block}.{norm}.bias"]
            )
            x = x.clamp(min=0)
        return x

    def up(name: str, x: Tensor) -> Tensor:
        return F.conv_transpose3d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=2)

    skips = []
    for level in (1, 2, 3, 4):
        x = pair(f"enc{level}.conv.conv", x)
        skips.append(x)
        x = F.max_pool3d(x, 2)
    x = up("dec1.up", pair("dec1.conv.conv", x))
    for level in (2, 3, 4):
        x = torch.cat([skips.pop(), x], dim=1)
        x = up(f"dec{level}.up", pair(f"dec{level}.conv.conv", x))
    x = pair("lastconv.conv", torch.cat([skips.pop(), x], dim=1))
    return F.conv3d(x, state["outconv.weight"], state["outconv.bias"])


def test_the_reference_network_equals_a_forward_pass_written_by_hand() -> None:
    generator = torch.Generator().manual_seed(7)
    network = build_network(UNetArchitecture(base_channels=4, classes=3, norm="batch")).eval()
    initialise(network, generator)
    for name, tensor in network.state_dict().items():
        if ("running" in name or ".1." in name or ".4." in name) and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    x = torch.randn(2, 1, 32, 16, 48, generator=generator)
    with torch.no_grad():
        assert torch.allclose(network(x), plain_unet(network.state_dict(), x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize(
    "architecture",
    [
        UNetArchitecture(base_channels=2, classes=3, norm="batch"),
        SegResNetArchitecture(classes=3),
        DynUNetArchitecture(
            classes=3, filters=(8, 8, 16), strides=((1, 1, 1), (2, 2, 1), (2, 2, 2))
        ),
    ],
    ids=lambda architecture: architecture.name,
)
def test_every_network_gives_logits_on_the_input_grid_with_every_normalisation(
    architecture: Architecture, norm: str
) -> None:
    network = build_network(architecture.model_copy(update={"norm": norm})).eval()
    x, y, z = architecture.reduction
    with torch.no_grad():
        logits = network(torch.randn(1, 1, z, 2 * y, 2 * x))
    assert logits.shape == (1, 3, z, 2 * y, 2 * x)
    assert not torch.allclose(logits.sum(dim=1), torch.ones(()))  # not probabilities


def test_a_stride_of_one_along_z_keeps_more_slices() -> None:
    strides = ((1, 1, 1), (2, 2, 1), (2, 2, 1))
    network = build_network(DynUNetArchitecture(filters=(8, 8, 16), strides=strides)).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 5, 8, 8)).shape[2] == 5  # z is never halved


def test_the_same_seed_draws_the_same_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    states = []
    for _ in range(2):
        with torch.random.fork_rng():
            network = build_network(UNetArchitecture(base_channels=2, norm="batch"))
        initialise(network, torch.Generator().manual_seed(3))
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert torch.equal(before, torch.get_rng_state())


def test_the_ensemble_network_is_the_mean_of_its_members_probabilities() -> None:
    ensemble = EnsembleNetwork(
        UNetArchitecture(base_channels=2, norm="batch").model_dump(), 2
    ).eval()
    x = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        a, b = (member(x).softmax(1) for member in ensemble.members)
        assert torch.allclose(ensemble(x), (a + b) / 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"filters": (8, 8), "strides": ((1, 1, 1), (2, 2, 2))},
        {"filters": (8, 8, 8), "strides": ((1, 1, 1), (2, 2, 2))},
        {"filters": (8, 8, 8), "strides": ((2, 2, 2), (2, 2, 2), (2, 2, 2))},
    ],
)
def test_strides_that_do_not_fit_the_levels_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DynUNetArchitecture.model_validate(wrong)
