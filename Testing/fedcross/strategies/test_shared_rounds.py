from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from fedcross.federate.local.engine import run_local
from fedcross.strategies.member import MemberState
from fedcross.strategies.method import Members
from fedcross.strategies.methods.fedcross_ens import FedCrossEns
from fedcross.strategies.plan import Plan
from fedcross.training.run.export import export_run
from fedcross.training.run.folder import RunFolder
from tiny_federation import tiny_config

METHOD = FedCrossEns(rounds=7, shared_rounds=3, local_epochs=1)


def test_the_schedule_has_one_site_in_the_shared_rounds_and_then_one_for_each_member() -> None:
    schedule = METHOD.make_schedule(3, seed=5)
    assert [len(row) for row in schedule] == [1, 1, 1, 3, 3, 3, 3]
    assert Counter(site for row in schedule[:3] for site in row) == {0: 1, 1: 1, 2: 1}
    assert all(sorted(row) == [0, 1, 2] for row in schedule[3:])


def visit(
    members: Sequence[MemberState], sites: Sequence[int], round_index: int
) -> Iterator[MemberState | None]:
    """Append the site to the member's weights."""
    for member, site in zip(members, sites, strict=True):
        route = torch.cat([member.weights["route"], torch.tensor([site])])
        yield replace(member, weights={"route": route}, rounds_done=member.rounds_done + 1)


def test_the_members_are_copies_of_the_first_and_then_take_their_own_routes() -> None:
    schedule = METHOD.make_schedule(3, seed=5)
    plan = Plan(METHOD, (1, 1, 1), schedule, frozenset(), 0)
    first: Members = (MemberState(0, {"route": torch.zeros(0, dtype=torch.int64)}, {}),)
    after = list(METHOD.run(first, plan, visit, range(7)))
    assert [len(members) for members in after] == [1, 1, 1, 3, 3, 3, 3]
    shared = [row[0] for row in schedule[:3]]
    for index, member in enumerate(after[-1]):
        assert member.index == index
        assert member.rounds_done == 7
        assert member.weights["route"].tolist() == shared + [row[index] for row in schedule[3:]]


def test_a_run_continues_from_any_round_of_either_part() -> None:
    plan = Plan(METHOD, (1, 1, 1), METHOD.make_schedule(3, seed=5), frozenset(), 0)
    members: Members = (MemberState(0, {"route": torch.zeros(0, dtype=torch.int64)}, {}),)
    whole = list(METHOD.run(members, plan, visit, range(7)))
    for done in (2, 3, 4):
        rest = list(METHOD.run(whole[done - 1], plan, visit, range(done, 7)))
        for one, other in zip(rest[-1], whole[-1], strict=True):
            assert torch.equal(one.weights["route"], other.weights["route"])


def test_visits_and_budgets_count_the_shared_rounds_once() -> None:
    assert [METHOD.visits_before(n, 4) for n in (0, 2, 3, 4, 7)] == [0, 2, 3, 7, 19]
    # 8 rounds of 4 sites are 32 visits: 3 alone, then at least 29 in rounds of 4.
    assert METHOD.rounds_for_budget(8, 4) == 3 + 8


def test_an_unused_option_is_not_recorded() -> None:
    assert "shared_rounds" not in FedCrossEns().model_dump()
    assert METHOD.model_dump()["shared_rounds"] == 3


def test_the_shared_rounds_must_end_before_the_run() -> None:
    with pytest.raises(ValidationError, match="shared_rounds must be less than rounds, 4, got 4"):
        FedCrossEns(rounds=4, shared_rounds=4)


def test_a_run_with_shared_rounds_ends_with_all_members_and_can_be_resumed(tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path, rounds=4, local_epochs=1, kind="fedcross-ens", shared_rounds=2, average="soup"
    )
    run_local(config, tmp_path / "run", device="cpu")
    run = RunFolder(tmp_path / "run")
    last = run.checkpoints.latest()
    assert last is not None
    assert [member.rounds_done for member in last.members] == [4, 4]
    assert last.best is not None
    assert last.best.round > 2
    assert [m.index for m in last.averages] == [0, 1]
    bundle = export_run(tmp_path / "run", tmp_path / "bundle", which="last")
    assert bundle.manifest.schedule is not None
    assert bundle.manifest.schedule[0][0] == bundle.manifest.schedule[0][1]
    before = (tmp_path / "run" / "test.json").read_bytes()
    run_local(config, tmp_path / "run", device="cpu", resume=True)
    assert (tmp_path / "run" / "test.json").read_bytes() == before
