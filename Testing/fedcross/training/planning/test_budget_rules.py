"""The rules for rounds, epochs and the method, on numbers derived by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.training.planning.budget_rules import divide_steps, suggest_method


def test_enough_steps_for_every_member_suit_fedcross_ens() -> None:
    advice = suggest_method(6_144, 4)
    assert (advice.kind, advice.shared_share, advice.member_steps) == ("fedcross-ens", 0.0, 1_536)


def test_the_measured_budget_of_1536_steps_suits_one_member() -> None:
    advice = suggest_method(1_536, 4)
    assert (advice.kind, advice.member_steps) == ("fedcross", 1_536)


def test_in_between_one_member_walks_1000_steps_and_its_copies_share_the_others() -> None:
    # 3,000 steps: 1,000 shared, then 500 for each of 4 copies; two thirds of the rounds are shared.
    advice = suggest_method(3_000, 4)
    assert advice.kind == "fedcross-ens"
    assert advice.member_steps == 1_500
    assert advice.shared_rounds(90) == 60


@pytest.mark.parametrize(
    ("steps", "shared"), [(1_767, False), (1_768, True), (3_999, True), (4_000, False)]
)
def test_a_shared_part_needs_192_steps_of_every_copy_and_less_than_1000(
    steps: int, shared: bool
) -> None:
    assert (suggest_method(steps, 4).shared_share > 0) is shared


def test_one_member_is_fedcross_whatever_the_steps() -> None:
    assert suggest_method(10**6, 1).kind == "fedcross"


@given(st.integers(1, 10**6), st.integers(2, 30))
def test_no_method_makes_more_steps_than_there_are(steps: int, members: int) -> None:
    advice = suggest_method(steps, members)
    copies = 1 if advice.kind == "fedcross" else members
    alone = advice.shared_share * advice.member_steps
    assert alone + (advice.member_steps - alone) * copies <= steps + members


def test_visits_have_about_4_steps_and_rounds_are_whole_latin_blocks() -> None:
    # 4 cases x 4 patches / 4 = 4 steps an epoch, one epoch a visit. 1,536 / 4 = 384 rounds.
    visits = divide_steps(1_536, (4, 4, 4, 4), 4)
    assert (visits.rounds, visits.local_epochs, visits.patches_per_case) == (384, 1, 4)
    assert visits.visit_steps == 4


def test_with_a_number_of_rounds_the_visits_become_longer() -> None:
    # 1,536 / 32 = 48 steps a visit, 12 epochs of 4 steps.
    visits = divide_steps(1_536, (4, 4, 4, 4), 4, rounds=32)
    assert (visits.rounds, visits.local_epochs) == (32, 12)


def test_many_cases_give_fewer_patches_each() -> None:
    # 4 steps of 2 patches are 8 patches, for 10 cases 1 each, the fewest: 5 steps an epoch.
    visits = divide_steps(1_000, (10, 10), 2)
    assert (visits.patches_per_case, visits.local_epochs, visits.rounds) == (1, 1, 200)


def test_what_is_fixed_is_kept() -> None:
    visits = divide_steps(1_000, (10,), 2, rounds=7, local_epochs=5, patches_per_case=3)
    assert (visits.rounds, visits.local_epochs, visits.patches_per_case) == (7, 5, 3)
    assert visits.epoch_steps == 15


@given(
    st.integers(1, 10**5),
    st.lists(st.integers(1, 500), min_size=1, max_size=12),
    st.integers(1, 16),
    st.none() | st.integers(1, 500),
)
def test_every_budget_gives_a_run(steps, train, batch_size, rounds) -> None:
    visits = divide_steps(steps, train, batch_size, rounds=rounds)
    assert min(visits.rounds, visits.local_epochs, visits.patches_per_case) >= 1
    assert visits.patches_per_case <= 4
    assert rounds is not None or visits.rounds % len(train) == 0
