"""Every method with the local engine: methods that must agree, and interrupted runs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fedcross.errors import ConfigError
from fedcross.federate.local.engine import FederationData, run_local
from fedcross.model.bundle import verify_bundle
from fedcross.model.networks import build_network
from fedcross.runtime.reporting import NullReporter
from fedcross.strategies.averaging import normalisation_tensors
from fedcross.strategies.member import MemberState
from fedcross.strategies.plan import make_plan
from fedcross.strategies.registry import METHODS, make_method
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.file import load_config
from fedcross.training.evaluation.validation import validate
from fedcross.training.run.checkpoint import Checkpoint
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder
from fedcross.training.step.visit import visit
from small_federation import first_members
from tiny_federation import write_federation

KINDS = tuple(METHODS)
CPU = torch.device("cpu")


def with_method(config: TrainingConfig, **method: Any) -> TrainingConfig:
    settings = make_method(**{"rounds": 3, "local_epochs": 1, **method})
    return config.model_copy(update={"method": settings})


@pytest.fixture
def config(small: TrainingConfig) -> TrainingConfig:
    return small


@pytest.fixture
def data(small_data: FederationData) -> FederationData:
    return small_data


def train(config: TrainingConfig, out: Path, data: FederationData | None = None) -> Checkpoint:
    run_local(config, out, device="cpu", data=data)
    checkpoint = RunFolder(out).checkpoints.latest()
    assert checkpoint is not None
    return checkpoint


def same(one: MemberState, other: MemberState) -> bool:
    """To the bit: weights and optimiser state."""
    left, right = one.state(), other.state()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def lines(run: Path) -> list[dict[str, Any]]:
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("kind", ["fedcross", "fedcross-ens", "fedavg", "fedbn", "local"])
def test_with_one_site_every_method_is_centralised_training_to_the_bit(
    config: TrainingConfig, data: FederationData, tmp_path: Path, kind: str
) -> None:
    lonely = config.model_copy(update={"sites": config.sites[:1]})
    alone = FederationData(data.cases[:1], data.sites[:1])
    settings = with_method(lonely, kind="centralised")
    (pooled,) = train(settings, tmp_path / "pooled", alone).members
    (member,) = train(with_method(lonely, kind=kind), tmp_path / "run", alone).members
    assert same(member, pooled)
    assert member.epochs_done == pooled.epochs_done == 3


@pytest.mark.parametrize("kind", KINDS)
def test_without_local_epochs_no_member_changes(
    config: TrainingConfig, data: FederationData, tmp_path: Path, kind: str
) -> None:
    settings = with_method(config, kind=kind, local_epochs=0, rounds=2)
    after = train(settings, tmp_path / "run", data)
    for member, before in zip(after.members, first_members(settings), strict=True):
        assert same(member, before)


def test_fedavg_of_identical_clients_is_one_client_to_the_bit(
    config: TrainingConfig, data: FederationData
) -> None:
    settings = with_method(config, kind="fedavg")
    site = data.sites[0]

    def twins(
        members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterator[MemberState]:
        for member in members:  # the same cases, and the same patches of them
            yield visit(replace(member, index=0), site, round_index, settings, CPU)[0]

    plan = make_plan(settings.method, settings.network, [2, 5], settings.seed)
    *_, (model,) = settings.method.run(first_members(settings), plan, twins, range(3))
    (alone,) = first_members(settings)
    for round_index in range(3):
        alone, _ = visit(alone, site, round_index, settings, CPU)
    assert same(model, alone)


def test_fedprox_without_its_term_is_fedavg_to_the_bit(
    config: TrainingConfig, data: FederationData, tmp_path: Path
) -> None:
    (plain,) = train(with_method(config, kind="fedavg"), tmp_path / "avg", data).members
    (free,) = train(with_method(config, kind="fedprox", mu=0.0), tmp_path / "zero", data).members
    (held,) = train(with_method(config, kind="fedprox", mu=5.0), tmp_path / "five", data).members
    assert same(plain, free)
    assert not same(plain, held)


def test_the_proximal_term_keeps_fedprox_nearer_to_its_start(
    config: TrainingConfig, data: FederationData, tmp_path: Path
) -> None:
    def distance(mu: float) -> float:
        settings = with_method(config, kind="fedprox", mu=mu, rounds=1, local_epochs=3)
        (model,) = train(settings, tmp_path / str(mu), data).members
        (start,) = first_members(settings)
        return sum(
            float((model.weights[name] - weight).square().sum())
            for name, weight in start.weights.items()
            if name in parameters
        )

    parameters = dict(build_network(config.network).named_parameters())
    assert distance(20.0) < distance(0.0)


@pytest.mark.parametrize("option", [{"mu": 1.0}, {"distillation": 1.0}])
def test_a_drift_penalty_changes_a_fedcross_member_except_on_its_first_visit(
    config: TrainingConfig, data: FederationData, tmp_path: Path, option: dict[str, float]
) -> None:
    for rounds, alike in ((1, True), (2, False)):
        plain = with_method(config, kind="fedcross", rounds=rounds)
        held = with_method(config, kind="fedcross", rounds=rounds, **option)
        (one,) = train(plain, tmp_path / f"plain{rounds}", data).members
        (other,) = train(held, tmp_path / f"held{rounds}", data).members
        assert same(one, other) is alike


def test_fedbns_sites_share_all_but_their_normalisation_layers(
    config: TrainingConfig, data: FederationData, tmp_path: Path
) -> None:
    settings = with_method(config, kind="fedbn", rounds=2)
    first, second = train(settings, tmp_path / "run", data).members
    local = normalisation_tensors(build_network(settings.network))
    for name, tensor in first.weights.items():
        counts = name.endswith("num_batches_tracked")  # 2 rounds of 2 steps here, of 1 there
        assert torch.equal(tensor, second.weights[name]) is (name not in local), name
        if counts:
            assert (tensor.item(), second.weights[name].item()) == (4, 2)


def test_a_run_with_failing_sites_continues_and_records_them(
    config: TrainingConfig, data: FederationData, tmp_path: Path
) -> None:
    settings = with_method(config, kind="fedcross-ens", rounds=8, dropout=0.4)
    members = train(settings, tmp_path / "run", data).members
    visits = [line for line in lines(tmp_path / "run") if "site" in line]
    missed = [line for line in visits if line.get("absent")]
    plan = make_plan(settings.method, settings.network, [2, 1], settings.seed)
    assert len(visits) == 16
    assert len(missed) == sum(len(plan.absent(r)) for r in range(8)) > 0
    for member in members:
        own = [line for line in visits if line["member"] == member.index]
        assert member.rounds_done == sum("absent" not in line for line in own)


def test_the_bytes_that_an_engine_would_send_are_counted(
    config: TrainingConfig, data: FederationData, tmp_path: Path
) -> None:
    (start,) = first_members(with_method(config, kind="fedcross"))
    model = sum(tensor.nbytes for tensor in start.weights.values())
    momentum = sum(p.nbytes for p in build_network(config.network).parameters())
    first, later = 2 * model + momentum, 2 * model + 2 * momentum  # there, and back
    for kind, expected in (
        ("fedcross", [first, later]),
        ("fedavg", [first, first, later, later]),
        ("local", [0] * 4),
        ("centralised", [0] * 2),
    ):
        train(with_method(config, kind=kind, rounds=2), tmp_path / kind, data)
        assert [line["bytes"] for line in lines(tmp_path / kind) if "site" in line] == expected


def test_centralised_training_uses_every_case_of_every_site(
    config: TrainingConfig, data: FederationData, tmp_path: Path
) -> None:
    train(with_method(config, kind="centralised"), tmp_path / "run", data)
    pooled = [line["samples"] for line in lines(tmp_path / "run") if "site" in line]
    train(with_method(config, kind="fedcross-ens"), tmp_path / "cross", data)
    crossed = [line["samples"] for line in lines(tmp_path / "cross") if "site" in line]
    # Equal budget: (2 + 1) cases of 2 patches, in each of 3 epochs.
    assert sum(pooled) == sum(crossed) == 18


class Interrupts(NullReporter):
    """Stops the run in the middle of its second round."""

    def progress(self, done: int, total: int, stage: str) -> None:
        if stage == "train" and done > total / 3:
            raise KeyboardInterrupt


RESUMED = [
    *({"kind": kind} for kind in KINDS),
    {"kind": "fedcross-ens", "average": "soup", "average_from": 0.0},
    {"kind": "fedavg", "average": "ema", "average_from": 0.0, "optimizer_state": "reset"},
    {"kind": "fedcross-ens", "distillation": 0.5, "mu": 0.1, "participation": 0.5},
    {"kind": "fedbn", "dropout": 0.3},
]


@pytest.mark.parametrize("method", RESUMED, ids=lambda method: "-".join(map(str, method.values())))
def test_every_method_resumes_to_the_bit(
    config: TrainingConfig, data: FederationData, tmp_path: Path, method: dict[str, Any]
) -> None:
    settings = with_method(config, **method)
    whole = train(settings, tmp_path / "whole", data)
    with pytest.raises(KeyboardInterrupt):
        run_local(settings, tmp_path / "run", device="cpu", data=data, reporter=Interrupts())
    assert RunFolder(tmp_path / "run").checkpoints.rounds() == [1]
    run_local(settings, tmp_path / "run", device="cpu", data=data, resume=True)
    resumed = RunFolder(tmp_path / "run").checkpoints.latest()
    assert resumed is not None
    for kind in ("members", "averages"):
        for one, other in zip(getattr(whole, kind), getattr(resumed, kind), strict=True):
            assert same(one, other)
    assert bool(whole.averages) is ("average" in method)
    assert (whole.best, whole.validation) == (resumed.best, resumed.validation)
    tests = [(tmp_path / run / "test.json").read_text() for run in ("whole", "run")]
    assert tests[0] == tests[1]


def test_a_personal_model_is_validated_at_its_own_site(
    config: TrainingConfig, data: FederationData, tmp_path: Path
) -> None:
    train(with_method(config, kind="local", rounds=1), tmp_path / "run", data)
    (recorded,) = [line["validation"] for line in lines(tmp_path / "run") if "validation" in line]
    members = RunFolder(tmp_path / "run").checkpoints.load(1).members
    for site, member in zip(data.sites, members, strict=True):
        alone = with_method(config, kind="fedcross")
        own = validate([member], [site], alone, CPU)
        assert own is not None
        assert recorded[site.name] == own.mean_dice


@pytest.mark.parametrize("kind", KINDS)
def test_every_methods_models_make_a_bundle(
    config: TrainingConfig, data: FederationData, tmp_path: Path, kind: str
) -> None:
    settings = with_method(config, kind=kind, rounds=1, average="soup", average_from=0.0)
    checkpoint = train(settings, tmp_path / "run", data)
    export_run(tmp_path / "run", tmp_path / "bundle")
    manifest = verify_bundle(tmp_path / "bundle")
    assert len(manifest.members) == len(checkpoint.averages) == settings.members


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            {"kind": "fedavg", "members": 2},
            "members is for fedcross, fedcross-ens, got members = 2",
        ),
        ({"kind": "fedavg", "mu": 0.1}, "mu is for .*fedprox, got mu = 0.1 with kind = 'fedavg'"),
        ({"kind": "local", "schedule": "random"}, "schedule is for fedcross"),
        ({"kind": "fedprox", "distillation": 1.0}, "distillation is for fedcross"),
        (
            {"kind": "fedcross", "weighting": "equal"},
            "weighting is for fedavg, fedbn, fedprox, fedsam",
        ),
        ({"kind": "local", "optimizer_state": "reset"}, "optimizer_state is for fedavg"),
        ({"kind": "centralised", "dropout": 0.1}, "dropout is for .*local, got dropout = 0.1"),
        ({"kind": "fedsgd"}, "method.kind must be one of .*'fedcross', .* got 'fedsgd'"),
        ({"dropout": 1.0}, "method.dropout must be less than 1, got 1.0"),
    ],
)
def test_options_that_do_not_fit_the_method_are_refused(
    tmp_path: Path, method: dict[str, Any], message: str
) -> None:
    path = write_federation(tmp_path, cases=1, split=(1, 0, 0), **method)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)
