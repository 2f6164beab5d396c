import math
from pathlib import Path

import pytest
import torch
from torch import nn

from fedcross.errors import PluginError
from fedcross.model.plugin import PluginReference
from fedcross.runtime.plugins import allow_plugins
from fedcross.training.config.loss import LossConfig
from fedcross.training.config.sections import OptimisationConfig
from fedcross.training.step.custom_parts import (
    find_optimizer_slots,
    make_custom_augmentation,
    make_custom_loss,
    make_custom_optimizer,
)
from fedcross.training.step.losses import make_loss
from fedcross.training.step.optimizer import (
    make_optimizer,
    make_zero_gradient_step,
    optimizer_tensors,
)
from installed_packages import PACKAGE, example, nothing_allowed, write_package

__all__ = ["example", "nothing_allowed"]  # fixtures

SOURCE = """
import torch
from torch.optim import SGD, Adam, Optimizer

def no_scalar():
    return lambda logits, target, missing: logits.sum((0, 1))

def no_gradient():
    return lambda logits, target, missing: logits.detach().sum()

def failing():
    return lambda logits, target, missing: logits[99]

def no_pair():
    return lambda image, label, generator: image

def other_type():
    return lambda image, label, generator: (image, label.float())

def noise():
    return lambda image, label, generator: (torch.rand(image.shape, generator=generator), label)

def no_optimizer(parameters, lr):
    return lr

def fewer(parameters, lr):
    return SGD(parameters[:1], lr=lr)

class Counting(SGD):
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["count"] = self.state[parameter].get("count", 0) + 1

class Mixed(SGD):
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            like = parameter if parameter.dim() > 1 else parameter.sum()
            self.state[parameter]["mean"] = torch.zeros_like(like)
"""
ENTRIES = {
    "fedcross.losses": {
        name: f"odd_parts:{name}" for name in ("no_scalar", "no_gradient", "failing")
    },
    "fedcross.augmentations": {
        name: f"odd_parts:{name}" for name in ("no_pair", "other_type", "noise")
    },
    "fedcross.optimizers": {
        **{name: f"odd_parts:{name}" for name in ("no_optimizer", "fewer", "Counting", "Mixed")},
        "adam": "torch.optim:Adam",
        "sgd": "torch.optim:SGD",
    },
}


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install and allow a package with parts that do not work."""
    write_package(tmp_path, "odd_parts", SOURCE, ENTRIES)
    monkeypatch.syspath_prepend(tmp_path)
    allow_plugins("odd_parts")


def plugin(entry: str, package: str = "odd_parts", **arguments: float) -> PluginReference:
    return PluginReference(package=package, entry=entry, arguments=arguments)


def test_a_loss_of_a_package_is_computed_and_differentiated(example: str) -> None:
    allow_plugins(example)
    settings = LossConfig(kind="custom", plugin=plugin("log-dice-ce", PACKAGE, weight=2.0))
    logits = torch.zeros(1, 2, 1, 1, 2, requires_grad=True)
    target = torch.tensor([[[[0, 1]]]])
    loss = make_loss(settings, torch.device("cpu"))(logits, target, [()])
    # p = 1/2 everywhere: cross-entropy log 2; Dice of a class (2 * 1/2 + 1) / (2 * 1/4 + 1 + 1) = 4/5.
    assert loss.item() == pytest.approx(math.log(2) - 2 * math.log(4 / 5))
    loss.backward()
    assert logits.grad is not None


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("no_scalar", r"must return a scalar of a floating-point type, got \(1, 1, 2\)"),
        ("no_gradient", "returns a number without a gradient"),
        ("failing", "failed with IndexError: "),
    ],
)
def test_a_loss_that_is_no_differentiable_scalar_is_one_sentence(entry: str, message: str) -> None:
    loss = make_custom_loss(plugin(entry))
    logits = torch.zeros(1, 2, 1, 1, 2, requires_grad=True)
    with pytest.raises(PluginError, match=f"The loss '{entry}' of the package odd_parts {message}"):
        loss(logits, torch.zeros(1, 1, 1, 2, dtype=torch.int64), None)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(2, 1, 4, 4, 4), torch.ones(2, 4, 4, 4, dtype=torch.int64)


def test_an_augmentation_of_a_package_changes_every_patch_and_keeps_the_labels(
    example: str,
) -> None:
    allow_plugins(example)
    change = make_custom_augmentation(plugin("erase", PACKAGE, probability=1.0, share=0.5))
    assert change is not None
    images, labels = change(*batch(), torch.Generator().manual_seed(0))
    assert [int((image == 0).sum()) for image in images] == [8, 8]  # a box of 2 x 2 x 2 voxels
    assert torch.equal(labels, batch()[1])


@pytest.mark.usefixtures("odd")
def test_every_patch_has_its_own_random_numbers_and_the_seed_decides_them() -> None:
    change = make_custom_augmentation(plugin("noise"))
    assert change is not None
    one, _ = change(*batch(), torch.Generator().manual_seed(3))
    again, _ = change(*batch(), torch.Generator().manual_seed(3))
    other, _ = change(*batch(), torch.Generator().manual_seed(4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize("entry", ["no_pair", "other_type"])
def test_an_augmentation_that_returns_something_else_is_one_sentence(entry: str) -> None:
    change = make_custom_augmentation(plugin(entry))
    assert change is not None
    with pytest.raises(PluginError, match=r"must return an image and a label like those it gets"):
        change(*batch(), torch.Generator())


def test_without_a_plugin_there_is_no_augmentation() -> None:
    assert make_custom_augmentation(None) is None


def test_the_slots_of_an_optimiser_are_found_by_two_steps(example: str, odd: None) -> None:
    allow_plugins(example)
    assert find_optimizer_slots(plugin("lion", PACKAGE)) == {"average": False}
    assert find_optimizer_slots(plugin("adam")) == {
        "exp_avg": False,
        "exp_avg_sq": False,
        "step": True,
    }
    assert find_optimizer_slots(plugin("sgd")) == {}


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("no_optimizer", "must be a torch.optim.Optimizer, got float"),
        ("fewer", "does not hold exactly the parameters"),
        ("Counting", "keeps 'count'; a member takes along only float32 tensors"),
        ("Mixed", "keeps 'mean' in two forms"),
    ],
)
def test_an_optimiser_that_cannot_travel_with_a_member_is_one_sentence(
    entry: str, message: str
) -> None:
    with pytest.raises(PluginError, match=f"The optimizer '{entry}' of .* {message}"):
        find_optimizer_slots(plugin(entry))


def lion(**options: float) -> OptimisationConfig:
    return OptimisationConfig(
        optimizer="custom",
        optimizer_plugin=plugin("lion", PACKAGE, momentum=0.5, decay=0.5),
        learning_rate=0.25,
        **options,
    )


def test_an_optimiser_of_a_package_continues_from_its_restored_state(example: str) -> None:
    allow_plugins(example)
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    state: dict[str, torch.Tensor] = {}
    for gradient in (4.0, -3.0):  # the average is 2 after the first step, -1/2 after the second
        optimizer = make_optimizer(network, lion(), state)
        network.weight.grad = torch.tensor([[gradient]])
        optimizer.step()
        state = optimizer_tensors(network, optimizer)
    assert state == {"average.weight": torch.tensor([[-0.5]])}
    # Steps of 1/4 against the signs of (0 + 4) / 2 and (2 - 3) / 2.
    assert network.weight.item() == pytest.approx(1.0 - 0.25 + 0.25)


def test_the_step_from_the_state_alone_has_the_size_of_the_learning_rate(example: str) -> None:
    allow_plugins(example)
    weights = {"weight": torch.tensor([1.0, 2.0, 3.0])}
    state = {"average.weight": torch.tensor([5.0, 0.0, -1.0])}
    step = make_zero_gradient_step(weights, state, lion())["weight"]
    assert step.tolist() == [-0.25, 0.0, 0.25]
    assert weights["weight"].tolist() == [1.0, 2.0, 3.0]
    assert make_zero_gradient_step(weights, {}, lion()) == {}


def test_an_optimiser_gets_the_parameters_and_the_learning_rate(odd: None) -> None:
    parameter = nn.Parameter(torch.ones(2))
    made = make_custom_optimizer(plugin("sgd", momentum=0.9), [parameter], 0.5)
    assert (made.param_groups[0]["lr"], made.param_groups[0]["momentum"]) == (0.5, 0.9)
