import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch

from fedcross.errors import ConfigError, DeviceError
from fedcross.strategies.member import MemberState, new_member
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.loss import LossConfig
from fedcross.training.data.volumes import Site
from fedcross.training.step import local_training as trainer
from fedcross.training.step.losses import Loss, make_loss
from fedcross.training.step.visit import visit


def changed(config: TrainingConfig, **training: Any) -> TrainingConfig:
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


def with_epochs(config: TrainingConfig, epochs: int) -> TrainingConfig:
    method = config.method.model_copy(update={"local_epochs": epochs})
    return config.model_copy(update={"method": method})


def same(a: MemberState, b: MemberState) -> bool:
    left, right = a.to_tensors(), b.to_tensors()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.fixture
def member(config: TrainingConfig) -> MemberState:
    return new_member(0, config.network, seed=3)


def test_a_visit_repeated_gives_the_same_member_to_the_bit(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    before = {key: tensor.clone() for key, tensor in member.to_tensors().items()}
    first, report = visit(member, sites[0], 0, config, cpu)
    second, _ = visit(member, sites[0], 0, config, cpu)
    assert same(first, second)
    assert report.samples == 2
    assert all(torch.equal(before[key], tensor) for key, tensor in member.to_tensors().items())


@pytest.mark.parametrize("option", [{"noise": 0.1}, {"intensity": 0.2}])
def test_a_visit_with_augmented_intensities_is_another_and_repeats_itself(
    config: TrainingConfig,
    sites: list[Site],
    member: MemberState,
    cpu: torch.device,
    option: dict[str, float],
) -> None:
    plain, _ = visit(member, sites[0], 0, config, cpu)
    first, _ = visit(member, sites[0], 0, changed(config, **option), cpu)
    second, _ = visit(member, sites[0], 0, changed(config, **option), cpu)
    assert not same(plain, first)
    assert same(first, second)


def test_compiling_is_asked_for_once_a_visit_and_only_if_wanted(
    config: TrainingConfig,
    sites: list[Site],
    member: MemberState,
    cpu: torch.device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network: asked.append(network))
    plain, _ = visit(member, sites[0], 0, config, cpu)
    assert asked == []
    compiled, _ = visit(member, sites[0], 0, changed(config, compile=True), cpu)
    assert len(asked) == 1
    assert same(plain, compiled)  # here nothing was compiled: the names of the weights are kept


def test_another_round_sees_other_patches(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    first, _ = visit(member, sites[0], 0, config, cpu)
    second, _ = visit(member, sites[0], 1, config, cpu)
    assert not same(first, second)


def test_the_first_step_is_nesterovs(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    # One step from rest: the buffer is the gradient g, and w becomes w - rate * (g + m g).
    after, _ = visit(member, sites[0], 0, config, cpu)
    for name, weight in member.weights.items():
        step = 0.01 * (1 + 0.9) * after.optimizer[f"momentum_buffer.{name}"]
        assert torch.allclose(after.weights[name], weight - step, atol=1e-7)


def test_momentum_travels_with_the_member(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    first, _ = visit(member, sites[0], 0, config, cpu)
    carried = MemberState.from_tensors(first.to_tensors())
    robbed = replace(first, optimizer={})
    after, _ = visit(first, sites[1], 1, config, cpu)
    assert same(visit(carried, sites[1], 1, config, cpu)[0], after)
    assert not same(visit(robbed, sites[1], 1, config, cpu)[0], after)
    # Second step: v = m v + g and w - rate * (g + m v), the rate now half way down.
    rate, name = 0.01 * 0.5**0.9, "outconv.weight"
    old = first.optimizer[f"momentum_buffer.{name}"]
    new = after.optimizer[f"momentum_buffer.{name}"]
    gradient = new - 0.9 * old
    expected = first.weights[name] - rate * (gradient + 0.9 * new)
    assert torch.allclose(after.weights[name], expected, atol=1e-7)


def test_progress_and_counts_move_on(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    calls: list[tuple[int, int]] = []
    after, report = visit(
        member,
        sites[1],
        0,
        with_epochs(config, 3),
        cpu,
        lambda done, total: calls.append((done, total)),
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert (after.epochs_done, after.rounds_done, after.last_site) == (3, 1, "s1")
    assert report.samples == 3 * 2
    assert report.loss is not None
    assert 0 < report.loss < 3


def test_without_local_epochs_no_member_changes(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    after, report = visit(member, sites[0], 0, with_epochs(config, 0), cpu)
    assert all(torch.equal(after.weights[key], weight) for key, weight in member.weights.items())
    assert report.loss is None


def test_adamw_travels_too(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    settings = changed(config, optimizer="adamw", learning_rate=0.001)
    first, _ = visit(member, sites[0], 0, settings, cpu)
    carried = MemberState.from_tensors(first.to_tensors())
    after, _ = visit(carried, sites[1], 1, settings, cpu)
    assert float(after.optimizer["step.outconv.weight"]) == 2
    assert same(visit(first, sites[1], 1, settings, cpu)[0], after)


def test_a_site_teaches_only_what_was_drawn_there(
    config: TrainingConfig, sites: list[Site], cpu: torch.device
) -> None:
    three = config.model_copy(update={"network": config.network.model_copy(update={"classes": 3})})
    member = new_member(0, three.network, seed=3)
    blind = replace(sites[0], train=tuple(replace(v, missing=(2,)) for v in sites[0].train))
    taught, _ = visit(member, sites[0], 0, three, cpu)
    spared, report = visit(member, blind, 0, three, cpu)
    assert report.loss is not None
    # Untaught, the third class goes where the background goes; taught, the other way.
    bias = [after.weights["outconv.bias"].tolist() for after in (taught, spared)]
    assert bias[0][0] > 0 > bias[0][2]
    assert bias[1][0] > 0
    assert bias[1][2] > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_bf16_computes_the_network_only(
    config: TrainingConfig, sites: list[Site], member: MemberState
) -> None:
    gpu = torch.device("cuda:0")
    exact, exact_report = visit(member, sites[0], 0, changed(config, precision="fp32"), gpu)
    rough, rough_report = visit(member, sites[0], 0, changed(config, precision="bf16"), gpu)
    assert not same(exact, rough)
    assert rough_report.loss == pytest.approx(exact_report.loss, rel=0.02)
    kinds = {t.dtype for t in rough.to_tensors().values() if t.is_floating_point()}
    assert kinds == {torch.float32}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("pull", [{}, {"mu": 0.1, "distillation": 0.5}])
@pytest.mark.parametrize("kind", ["dice-ce", "dice-focal", "tversky-ce"])
def test_the_device_is_first_waited_for_when_an_epoch_is_over(
    config: TrainingConfig,
    sites: list[Site],
    member: MemberState,
    optimizer: str,
    pull: dict[str, float],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # PyTorch's meta device holds no values: whatever asks for one, or mixes it with the host, fails.
    losses: list[torch.Tensor] = []

    def counted(*settings: Any) -> Loss:
        loss = make_loss(*settings)

        def count(*given: Any) -> torch.Tensor:
            losses.append(loss(*given))
            return losses[-1]

        return count

    monkeypatch.setattr(trainer, "make_loss", counted)
    # Meta has neither autocast nor fused optimisers; the kernel of AdamW works there nevertheless.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    module = sys.modules["torch.optim.optimizer"]
    monkeypatch.setattr(module, "_get_fused_kernels_supported_devices", lambda: ["meta"])
    monkeypatch.setattr(torch, "_fused_sgd_", lambda *_, **__: None)
    method = config.method.model_copy(update={"local_epochs": 2, **pull})
    settings = changed(config, patches_per_case=7, intensity=0.2, optimizer=optimizer)
    loss = LossConfig.model_validate({"kind": kind, "class_weights": (1.0, 2.0)})
    settings = settings.model_copy(update={"method": method, "loss": loss})
    with pytest.raises(RuntimeError, match="meta"):
        visit(replace(member, rounds_done=1), sites[0], 0, settings, torch.device("meta"))
    patches = 7 * len(sites[0].train)
    assert len(losses) == -(-patches // settings.training.batch_size) > 1


def test_a_loss_that_explodes_is_named(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    with pytest.raises(
        ConfigError, match=r"member 0 became (nan|inf) at s1 in round 1.*learning_rate"
    ):
        visit(member, sites[1], 0, with_epochs(changed(config, learning_rate=1e30), 3), cpu)


def with_a_broken_case(site: Site) -> Site:
    """The site with one more training case, all of whose intensities are NaN."""
    broken = replace(site.train[0], image=torch.full_like(site.train[0].image, torch.nan))
    return replace(site, train=(*site.train, broken))


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_steps_that_are_not_finite_are_skipped_and_counted(
    config: TrainingConfig, sites: list[Site], cpu: torch.device, norm: str
) -> None:
    network = config.network.model_copy(update={"norm": norm})
    settings = changed(with_epochs(config, 2), batch_size=1)
    settings = settings.model_copy(update={"network": network})
    site = with_a_broken_case(sites[0])
    member = new_member(0, network, seed=3)
    after, report = visit(member, site, 0, settings, cpu)
    patches = 2 * settings.training.patches_per_case  # of each case in two epochs
    assert (report.samples, report.skipped) == (patches, patches)
    assert report.loss is not None
    assert 0 < report.loss < 3
    assert all(tensor.isfinite().all() for tensor in after.state().values())
    assert not same(after, replace(after, weights=member.weights))


def test_a_visit_without_a_step_to_skip_reports_none(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    assert visit(member, sites[0], 0, config, cpu)[1].skipped == 0


def test_an_epoch_of_which_every_step_is_skipped_ends_the_visit(
    config: TrainingConfig, sites: list[Site], member: MemberState, cpu: torch.device
) -> None:
    site = replace(with_a_broken_case(sites[0]), train=with_a_broken_case(sites[0]).train[1:])
    with pytest.raises(ConfigError, match="loss of member 0 became nan at s0 in round 1"):
        visit(member, site, 0, config, cpu)


def test_too_little_memory_is_said(
    config: TrainingConfig,
    sites: list[Site],
    member: MemberState,
    cpu: torch.device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr("fedcross.training.step.local_training.sample_batch", full)
    with pytest.raises(DeviceError, match=r"memory of cpu.*batch_size"):
        visit(member, sites[0], 0, config, cpu)


def test_volumes_that_would_crowd_a_gpus_memory_stay_where_they_are(
    sites: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_free", lambda _: 3 * sites[0].train[0].nbytes)
    kept = trainer._volumes_in_reach(sites[0].train, torch.device("cuda:0"))
    assert [id(volume) for volume in kept] == [id(volume) for volume in sites[0].train]


def test_a_machine_that_only_trains_needs_neither_monai_nor_simpleitk() -> None:
    code = (
        "import sys, fedcross.training.step.visit as t\n"
        "print(sorted({'monai', 'SimpleITK', 'scipy'} & sys.modules.keys()))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
