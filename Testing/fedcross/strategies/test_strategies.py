"""The algorithms of the methods. A visit at site s adds 10 ** s to every tensor."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fedcross.errors import ConfigError
from fedcross.strategies.member import MemberState
from fedcross.strategies.method import ALL_SITES, Members, Method
from fedcross.strategies.plan import Plan, Stage, make_plan
from fedcross.strategies.registry import METHODS, make_method
from fedcross.strategies.running_average import update_averages
from fedcross.strategies.schedule import Schedule
from fedcross.training.config.configuration import TrainingConfig
from tiny_federation import tiny_config

NORM = frozenset({"norm.weight"})


def member(index: int = 0, value: float = 0.0) -> MemberState:
    weights = {"conv.weight": torch.tensor([value]), "norm.weight": torch.tensor([value])}
    return MemberState(index, weights, {})


def plan(method: Method, cases: Sequence[int] = (1, 1, 1), **options: Any) -> Plan:
    return Plan(method, tuple(cases), options.get("schedule"), NORM, seed=options.get("seed", 0))


class Adds:
    """Site s adds 10 ** s, the momentum becomes what was added; an absent site gives nothing."""

    def __init__(self, absent: dict[int, set[int]] | None = None) -> None:
        self.absent = absent or {}
        self.asked: list[tuple[int, int, int]] = []  # member, site, round

    def __call__(
        self, members: Sequence[MemberState], sites: Sequence[int], round_index: int
    ) -> Iterator[MemberState | None]:
        for one, site in zip(members, sites, strict=True):
            self.asked.append((one.index, site, round_index))
            if site in self.absent.get(round_index, ()):
                yield None
                continue
            step = torch.tensor([10.0**site])
            yield replace(
                one,
                weights={name: tensor + step for name, tensor in one.weights.items()},
                optimizer={f"momentum_buffer.{name}": step for name in one.weights},
                epochs_done=one.epochs_done + 1,
                rounds_done=one.rounds_done + 1,
                last_site=str(site),
            )


def run(
    method: Method, members: Members, visits: Adds, *, rounds: int = 1, **options: Any
) -> list[Members]:
    """The members after each round."""
    return list(method.run(members, plan(method, **options), visits, range(rounds)))


def values(members: Members, name: str = "conv.weight") -> list[float]:
    return [one.weights[name].item() for one in members]


def test_fedcross_sends_each_member_where_the_schedule_says_and_averages_nothing() -> None:
    visits = Adds()
    schedule = ((2, 0), (1, 2))
    done = run(
        make_method(kind="fedcross-ens", local_epochs=1),
        (member(0), member(1)),
        visits,
        rounds=2,
        schedule=schedule,
    )
    assert visits.asked == [(0, 2, 0), (1, 0, 0), (0, 1, 1), (1, 2, 1)]
    assert [values(members) for members in done] == [[100, 1], [110, 101]]


def test_a_member_whose_visit_fails_keeps_its_state() -> None:
    done = run(
        make_method(kind="fedcross-ens"),
        (member(0), member(1)),
        Adds({0: {2}}),
        rounds=2,
        schedule=((2, 0), (1, 2)),
    )
    assert [values(members) for members in done] == [[0, 1], [10, 101]]
    assert [one.rounds_done for one in done[-1]] == [1, 2]


def test_fedavg_sends_the_model_to_all_sites_and_weighs_them_by_their_cases() -> None:
    visits = Adds()
    method = make_method(kind="fedavg", local_epochs=1)
    # (30 * 1 + 10 * 10 + 60 * 100) / 100 = 61.3 a round
    done = run(method, (member(),), visits, rounds=2, cases=(30, 10, 60))
    assert visits.asked == [(site, site, r) for r in range(2) for site in range(3)]
    assert [values(members) for members in done] == [
        [pytest.approx(61.3)],
        [pytest.approx(122.6)],
    ]
    (model,) = done[-1]
    assert (model.index, model.epochs_done, model.rounds_done, model.last_site) == (0, 2, 2, None)
    assert model.optimizer["momentum_buffer.conv.weight"].item() == pytest.approx(61.3)


def test_fedavg_can_weigh_all_sites_equally_and_reset_the_momentum() -> None:
    method = make_method(kind="fedavg", weighting="equal", optimizer_state="reset")
    ((model,),) = run(method, (member(),), Adds(), cases=(30, 10, 60))
    assert model.weights["conv.weight"].item() == 37  # (1 + 10 + 100) / 3
    assert model.optimizer == {}


def test_the_mean_is_over_the_sites_that_trained_and_without_any_the_model_stays() -> None:
    method = make_method(kind="fedavg")
    done = run(
        method, (member(value=5.0),), Adds({0: {1}, 1: {0, 1, 2}}), rounds=2, cases=(1, 7, 3)
    )
    assert values(done[0]) == [5 + (1 * 1 + 3 * 100) / 4]
    assert done[1] == done[0]


def test_fedbn_averages_all_but_the_normalisation_layers() -> None:
    method = make_method(kind="fedbn", local_epochs=1)
    start = tuple(member(k) for k in range(3))
    once, twice = run(method, start, Adds(), rounds=2)
    assert values(once) == [37, 37, 37]
    assert values(once, "norm.weight") == [1, 10, 100]
    assert values(twice) == [74, 74, 74]
    assert values(twice, "norm.weight") == [2, 20, 200]
    for site, one in enumerate(twice):
        assert one.optimizer["momentum_buffer.conv.weight"].item() == 37
        assert one.optimizer["momentum_buffer.norm.weight"].item() == 10**site


def test_an_absent_site_gets_the_mean_of_fedbn_and_keeps_its_normalisation_layers() -> None:
    start = tuple(member(k) for k in range(3))
    (done,) = run(make_method(kind="fedbn"), start, Adds({0: {1}}))
    assert values(done) == [50.5, 50.5, 50.5]
    assert values(done, "norm.weight") == [1, 0, 100]
    (nobody,) = run(make_method(kind="fedbn"), start, Adds({0: {0, 1, 2}}))
    assert values(nobody) == values(nobody, "norm.weight") == [0, 0, 0]


def test_fedbn_can_reset_the_momentum_of_every_layer() -> None:
    method = make_method(kind="fedbn", optimizer_state="reset")
    (done,) = run(method, tuple(member(k) for k in range(3)), Adds())
    assert [one.optimizer for one in done] == [{}, {}, {}]
    assert values(done, "norm.weight") == [1, 10, 100]


def test_a_local_model_trains_at_its_site_only() -> None:
    done = run(make_method(kind="local"), tuple(member(k) for k in range(3)), Adds(), rounds=2)
    assert values(done[-1]) == [2, 20, 200]


def test_the_centralised_model_trains_on_the_cases_of_all_sites() -> None:
    visits = Adds()
    run(make_method(kind="centralised"), (member(),), visits, rounds=2)
    assert visits.asked == [(0, ALL_SITES, 0), (0, ALL_SITES, 1)]


@pytest.mark.parametrize("kind", list(METHODS))
def test_a_run_continued_from_any_round_has_the_same_result(kind: Any) -> None:
    method = make_method(kind=kind, local_epochs=1)
    alone = kind in ("fedcross", "fedavg", "fedprox", "fedsam", "centralised")
    start = tuple(member(k) for k in range(1 if alone else 3))
    run_plan = plan(method, (3, 2, 5), schedule=((2, 0, 1), (1, 2, 0), (0, 1, 2)))
    if alone:
        run_plan = replace(run_plan, schedule=((2,), (0,), (1,)))
    whole = list(method.run(start, run_plan, Adds(), range(3)))
    again = list(method.run(whole[0], run_plan, Adds(), range(1, 3)))
    assert again == whole[1:]


# Absent sites are drawn from the seed and the round only.


def test_the_configured_share_of_sites_takes_part_and_every_site_does_at_times() -> None:
    half = plan(make_method(kind="fedavg", participation=0.5), [1] * 6)
    rounds = [half.absent(r) for r in range(40)]
    assert {len(absent) for absent in rounds} == {3}
    assert frozenset.union(*rounds) == set(range(6))
    assert rounds == [half.absent(r) for r in range(40)]
    assert rounds != [replace(half, seed=1).absent(r) for r in range(40)]
    assert all(not plan(make_method()).absent(r) for r in range(5))
    tenth = plan(make_method(participation=0.1), [1] * 3)
    assert {len(tenth.absent(r)) for r in range(9)} == {2}


def test_visits_fail_with_the_configured_probability() -> None:
    shaky = plan(make_method(kind="fedavg", dropout=0.25), [1] * 4)
    missed = sum(len(shaky.absent(r)) for r in range(1000))
    assert missed / 4000 == pytest.approx(0.25, abs=0.03)  # 4 standard deviations: 0.027


# Tensors that never leave a site.


def staying(kind: Any, **options: Any) -> list[bool]:
    run_plan = plan(make_method(kind=kind, **options))
    names = ("weights.conv.weight", "weights.norm.weight", "optimizer.momentum_buffer.conv.weight")
    return [run_plan.stays(name) for name in (*names, "optimizer.momentum_buffer.norm.weight")]


def test_each_method_states_which_tensors_stay_at_a_site() -> None:
    assert staying("fedcross") == [False, False, False, False]
    assert staying("fedavg") == [False, False, False, False]
    assert staying("fedavg", optimizer_state="reset") == [False, False, True, True]
    assert staying("fedbn") == [False, True, False, True]
    assert staying("fedbn", optimizer_state="reset") == [False, True, True, True]
    assert staying("local") == staying("centralised") == [True, True, True, True]


# Plans and first members.


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("sites")
    return tiny_config(folder, sites=3, cases=1, split=(1, 0, 0), rounds=4)


def planned(config: TrainingConfig) -> Plan:
    return make_plan(config.method, config.network, [1, 1, 1], config.seed)


def first_members(config: TrainingConfig) -> Members:
    return config.method.first_members(config.network, len(config.sites), config.seed)


def of_kind(config: TrainingConfig, kind: Any) -> TrainingConfig:
    return config.model_copy(update={"method": make_method(kind, rounds=config.method.rounds)})


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("fedcross", 1),
        ("fedcross-ens", 3),
        ("fedavg", 1),
        ("fedprox", 1),
        ("fedsam", 1),
        ("fedbn", 3),
        ("local", 3),
        ("centralised", 1),
    ],
)
def test_methods_have_as_many_members_as_they_need(
    config: TrainingConfig, kind: str, count: int
) -> None:
    members = first_members(of_kind(config, kind))
    assert [one.index for one in members] == list(range(count))
    first = [one.weights["outconv.weight"] for one in members]
    # The sites of FedBN start with one common model; the members of other methods differ.
    alike = all(torch.equal(first[0], other) for other in first[1:])
    assert alike is (count == 1 or kind == "fedbn")


def test_only_fedcross_has_a_schedule(config: TrainingConfig) -> None:
    run_plan = planned(config)
    assert run_plan.schedule is not None
    assert len(run_plan.schedule) == 4
    assert planned(of_kind(config, "fedavg")).schedule is None


@pytest.mark.parametrize("kind", ["latin", "rotation", "random"])
@pytest.mark.parametrize("shared", [0, 3, 7])
def test_a_stage_keeps_the_rows_before_it_and_begins_a_block_with_all_of_its_sites(
    config: TrainingConfig, kind: str, shared: int
) -> None:
    def rows(rounds: int, *stages: Stage) -> Schedule:
        options = {"members": 2, "schedule": kind, "shared_rounds": shared}
        method = make_method(rounds=rounds, **options)
        made = make_plan(method, config.network, [1] * stages[-1].sites, 0, stages)
        assert made.schedule is not None
        return made.schedule

    first = rows(8, Stage(0, 2))
    joined = rows(13, Stage(0, 2), Stage(5, 4))
    assert joined[:5] == first[:5]
    assert len(joined) == 13
    assert [len(row) for row in joined] == [1] * shared + [2] * (13 - shared)
    if kind != "random":
        assert {site for row in joined[5:] for site in row} == {0, 1, 2, 3}
    if kind == "latin" and shared <= 5:
        assert sorted(row[0] for row in joined[5:9]) == [0, 1, 2, 3]
    again = rows(15, Stage(0, 2), Stage(5, 4), Stage(13, 5))
    assert again[:13] == joined
    assert len(again) == 15


def test_fedbn_without_anything_to_leave_at_the_sites_is_refused(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedcross.model.networks.build_network", lambda _: torch.nn.Conv3d(1, 2, 1))
    with pytest.raises(ConfigError, match="fedbn leaves the normalisation layers"):
        planned(of_kind(config, "fedbn"))


# Averages of a member over its own rounds.


def test_a_soup_is_the_mean_of_the_last_rounds_and_ema_an_exponential_mean() -> None:
    soup = make_method(average="soup", average_from=0.5, rounds=4)
    ema = make_method(average="ema", average_from=0.5, rounds=4, ema_decay=0.75)
    plain: Members = ()
    weighted: Members = ()
    for rounds_done, value in enumerate((7.0, 7.0, 4.0, 8.0), start=1):
        plain = update_averages(plain, (member(value=value),), soup, rounds_done)
        weighted = update_averages(weighted, (member(value=value),), ema, rounds_done)
        assert len(plain) == len(weighted) == (rounds_done > 2)
    assert values(plain) == [6]  # (4 + 8) / 2
    assert values(weighted) == [5]  # 0.75 * 4 + 0.25 * 8
    assert plain[0].optimizer == {}


def test_after_a_run_went_on_the_rounds_from_then_on_are_averaged() -> None:
    # Two of four rounds were averaged before; of six rounds the share 0.5 begins at the fourth.
    soup = make_method(average="soup", average_from=0.5, rounds=6)
    averages: Members = ()
    for rounds_done, value in ((5, 4.0), (6, 8.0)):
        averages = update_averages(averages, (member(value=value),), soup, rounds_done, 4)
    assert values(averages) == [6]


def test_by_default_nothing_is_averaged(tmp_path: Path) -> None:
    assert update_averages((), (member(),), make_method(), 50) == ()
