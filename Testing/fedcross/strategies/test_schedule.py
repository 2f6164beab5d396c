import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.errors import ConfigError
from fedcross.strategies.schedule import ScheduleKind, make_schedule

KINDS: tuple[ScheduleKind, ...] = ("latin", "rotation", "random")
sizes = st.integers(1, 9).flatmap(
    lambda sites: st.tuples(st.just(sites), st.integers(1, sites), st.integers(1, 30))
)


@given(st.sampled_from(KINDS), sizes, st.integers(0, 2**32))
def test_in_every_round_every_member_has_a_site_of_its_own(
    kind: ScheduleKind, size: tuple[int, int, int], seed: int
) -> None:
    sites, members, rounds = size
    schedule = make_schedule(kind, rounds=rounds, sites=sites, members=members, seed=seed)
    assert len(schedule) == rounds
    for row in schedule:
        assert len(row) == len(set(row)) == members
        assert set(row) <= set(range(sites))


@given(sizes, st.integers(0, 2**32))
def test_in_every_latin_block_each_member_meets_each_site_exactly_once(
    size: tuple[int, int, int], seed: int
) -> None:
    sites, members, _ = size
    schedule = make_schedule("latin", rounds=3 * sites, sites=sites, members=members, seed=seed)
    for block in range(3):
        rows = schedule[block * sites : (block + 1) * sites]
        for member in range(members):
            assert sorted(row[member] for row in rows) == list(range(sites))


@given(st.sampled_from(KINDS), sizes, st.integers(0, 2**32))
def test_the_table_depends_on_nothing_but_its_arguments(
    kind: ScheduleKind, size: tuple[int, int, int], seed: int
) -> None:
    sites, members, rounds = size
    random.seed(seed + 1)
    before = random.getstate()
    first = make_schedule(kind, rounds=rounds, sites=sites, members=members, seed=seed)
    assert random.getstate() == before
    assert make_schedule(kind, rounds=rounds, sites=sites, members=members, seed=seed) == first


@given(sizes, st.integers(0, 2**32))
def test_more_rounds_leave_the_first_ones_as_they_were(
    size: tuple[int, int, int], seed: int
) -> None:
    sites, members, rounds = size
    for kind in KINDS:
        short = make_schedule(kind, rounds=rounds, sites=sites, members=members, seed=seed)
        long = make_schedule(kind, rounds=rounds + 5, sites=sites, members=members, seed=seed)
        assert long[:rounds] == short


def test_rotation_is_plain_round_robin() -> None:
    assert make_schedule("rotation", rounds=4, sites=3, members=3, seed=9) == (
        (0, 1, 2),
        (1, 2, 0),
        (2, 0, 1),
        (0, 1, 2),
    )


def test_fewer_members_than_sites_leave_sites_idle_in_a_round_but_not_for_ever() -> None:
    schedule = make_schedule("latin", rounds=5, sites=5, members=2, seed=0)
    assert all(len(row) == 2 for row in schedule)
    assert {site for row in schedule for site in row} == set(range(5))


@pytest.mark.parametrize("kind", ["latin", "random"])
def test_other_seeds_give_other_orders(kind: ScheduleKind) -> None:
    tables = {make_schedule(kind, rounds=8, sites=4, members=4, seed=seed) for seed in range(20)}
    assert len(tables) > 15


def test_a_random_schedule_may_send_a_member_to_the_same_site_again() -> None:
    schedule = make_schedule("random", rounds=100, sites=3, members=3, seed=0)
    assert any(now[0] == later[0] for now, later in pairwise(schedule))


def test_a_single_latin_member_walks_all_sites_before_any_comes_again() -> None:
    walk = [site for (site,) in make_schedule("latin", rounds=8, sites=4, members=1, seed=3)]
    assert sorted(walk[:4]) == sorted(walk[4:]) == [0, 1, 2, 3]


def test_latin_blocks_differ_from_each_other() -> None:
    schedule = make_schedule("latin", rounds=20, sites=4, members=4, seed=0)
    assert len({schedule[start : start + 4] for start in range(0, 20, 4)}) > 1


def test_more_members_than_sites_are_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"5 members but only 4 sites.*at most 4"):
        make_schedule("latin", rounds=1, sites=4, members=5, seed=0)


@pytest.mark.parametrize("name", ["rounds", "sites", "members"])
def test_counts_below_one_are_refused_by_name_and_value(name: str) -> None:
    counts = {"rounds": 2, "sites": 2, "members": 2, name: 0}
    with pytest.raises(ConfigError, match=f"{name} must be at least 1, got 0"):
        make_schedule("latin", seed=0, **counts)


def test_an_unknown_kind_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(ConfigError, match=r"latin, rotation, random, got 'spiral'"):
        make_schedule("spiral", rounds=1, sites=1, members=1, seed=0)  # type: ignore[arg-type]
