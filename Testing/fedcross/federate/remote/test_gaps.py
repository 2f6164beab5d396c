import json

from hypothesis import given
from hypothesis import strategies as st

from fedcross.federate.remote.gaps import Gap, Gaps, ends_block, waves

PLACES = st.tuples(st.integers(0, 4), st.integers(0, 4))


def gap(round_number: int, member: int, site: int) -> Gap:
    return Gap(round_number, member, site, "Site s1 is not connected.")


def test_gaps_of_other_members_at_other_sites_are_made_up_side_by_side() -> None:
    first, second, third = gap(1, 0, 1), gap(2, 1, 0), gap(2, 2, 1)
    assert waves([first, second, third]) == [[first, second], [third]]
    assert waves([]) == []


@given(st.lists(PLACES, max_size=12))
def test_in_a_wave_nobody_is_at_two_places_and_no_gap_is_lost(
    places: list[tuple[int, int]],
) -> None:
    gaps = [gap(number, member, site) for number, (member, site) in enumerate(places, start=1)]
    packed = waves(gaps)
    assert sorted((each for wave in packed for each in wave), key=lambda g: g.round) == gaps
    for wave in packed:
        assert len({each.member for each in wave}) == len({each.site for each in wave}) == len(wave)


def test_blocks_are_as_long_as_there_are_sites_and_the_run_ends_one_too() -> None:
    assert [index for index in range(8) if ends_block(index, sites=3, rounds=8)] == [2, 5, 7]


def test_what_was_made_up_is_not_outstanding() -> None:
    one, two = gap(1, 0, 1), gap(2, 1, 1)
    gaps = Gaps().with_gap(one).with_gap(two).made_up(one, 3)
    assert gaps.outstanding == (two,)
    assert gaps.all[0].made_up == 3


def test_a_run_that_begins_again_forgets_what_came_after() -> None:
    one, two, late = gap(1, 0, 1), gap(2, 1, 1), gap(4, 0, 2)
    gaps = Gaps((one, two, late)).made_up(one, 3).made_up(two, 6)
    assert gaps.after(3).all == (Gaps((one,)).made_up(one, 3).all[0], two)
    assert gaps.after(0).all == ()


def test_gaps_survive_the_disk() -> None:
    gaps = Gaps((gap(1, 0, 1), gap(2, 1, 1))).made_up(gap(1, 0, 1), 3)
    assert Gaps.from_record(json.loads(json.dumps(gaps.record()))) == gaps
