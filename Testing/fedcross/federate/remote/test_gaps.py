import json

from hypothesis import given
from hypothesis import strategies as st

from fedcross.federate.remote.gaps import Gap, Gaps, ends_block, pack_into_waves

PLACES = st.tuples(st.integers(0, 4), st.integers(0, 4))


def gap(round_number: int, member: int, site: int) -> Gap:
    return Gap(round_number, member, site, "Site s1 is not connected.")


def test_gaps_of_different_members_at_different_sites_share_a_wave() -> None:
    first, second, third = gap(1, 0, 1), gap(2, 1, 0), gap(2, 2, 1)
    assert pack_into_waves([first, second, third]) == [[first, second], [third]]
    assert pack_into_waves([]) == []


@given(st.lists(PLACES, max_size=12))
def test_a_wave_has_each_member_and_each_site_once_and_no_gap_is_lost(
    places: list[tuple[int, int]],
) -> None:
    gaps = [gap(number, member, site) for number, (member, site) in enumerate(places, start=1)]
    packed = pack_into_waves(gaps)
    assert sorted((each for wave in packed for each in wave), key=lambda g: g.round) == gaps
    for wave in packed:
        assert len({each.member for each in wave}) == len({each.site for each in wave}) == len(wave)


def test_a_block_ends_after_as_many_rounds_as_sites_and_at_the_end_of_the_run() -> None:
    assert [index for index in range(8) if ends_block(index, sites=3, rounds=8)] == [2, 5, 7]


def test_a_gap_that_was_made_up_is_not_outstanding() -> None:
    one, two = gap(1, 0, 1), gap(2, 1, 1)
    gaps = Gaps().with_gap(one).with_gap(two).with_made_up(one, 3)
    assert gaps.outstanding == (two,)
    assert gaps.all[0].made_up == 3


def test_a_resumed_run_has_the_gaps_of_its_last_finished_round() -> None:
    one, two, late = gap(1, 0, 1), gap(2, 1, 1), gap(4, 0, 2)
    gaps = Gaps((one, two, late)).with_made_up(one, 3).with_made_up(two, 6)
    assert gaps.at_round(3).all == (Gaps((one,)).with_made_up(one, 3).all[0], two)
    assert gaps.at_round(0).all == ()


def test_gaps_are_the_same_after_writing_and_reading() -> None:
    gaps = Gaps((gap(1, 0, 1), gap(2, 1, 1))).with_made_up(gap(1, 0, 1), 3)
    assert Gaps.from_record(json.loads(json.dumps(gaps.as_record()))) == gaps
