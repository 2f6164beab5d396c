import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.training.config.sections import OptimisationConfig
from fedcross.training.step.learning_rate import learning_rate

KINDS = ("polynomial", "cosine", "constant")


def settings(**options: Any) -> OptimisationConfig:
    return OptimisationConfig(**options)


def test_the_rate_decays_with_the_power_nine_tenths() -> None:
    # The authors' run: 50 rounds of 32 epochs.
    plain = settings()
    assert learning_rate(plain, 0, 1600) == 0.01
    assert learning_rate(plain, 800, 1600) == pytest.approx(0.01 * 0.5358867, rel=1e-6)
    assert learning_rate(plain, 1599, 1600) == pytest.approx(1.30706e-5, rel=1e-4)


def test_the_cosine_is_halved_in_the_middle_and_falls_to_zero() -> None:
    cosine = settings(rate_schedule="cosine", learning_rate=0.4)
    assert learning_rate(cosine, 0, 12) == 0.4
    # cos(pi / 3) = 1/2, so that (1 + 1/2) / 2 of the rate is left after a third of the run.
    assert learning_rate(cosine, 4, 12) == pytest.approx(0.3)
    assert learning_rate(cosine, 6, 12) == pytest.approx(0.2)
    assert learning_rate(cosine, 8, 12) == pytest.approx(0.1)


def test_a_constant_rate_stays() -> None:
    constant = settings(rate_schedule="constant", learning_rate=0.4)
    assert {learning_rate(constant, epoch, 5) for epoch in range(5)} == {0.4}


@pytest.mark.parametrize("kind", KINDS)
def test_the_warm_up_is_a_line_to_the_base_rate_and_the_decay_follows(kind: str) -> None:
    warm = settings(rate_schedule=kind, learning_rate=1.0, warmup_epochs=3)
    assert [learning_rate(warm, epoch, 11) for epoch in range(4)] == [0.25, 0.5, 0.75, 1.0]
    # Half of the eight epochs after the warm-up are done.
    half = {"polynomial": 0.5**0.9, "cosine": 0.5, "constant": 1.0}[kind]
    assert learning_rate(warm, 7, 11) == pytest.approx(half)


@given(st.sampled_from(KINDS), st.integers(1, 200), st.data())
def test_the_rate_is_above_zero_and_never_above_the_base_rate(
    kind: str, total: int, data: st.DataObject
) -> None:
    warmup = data.draw(st.integers(0, total - 1))
    chosen = settings(rate_schedule=kind, learning_rate=0.1, warmup_epochs=warmup)
    rates = [learning_rate(chosen, epoch, total) for epoch in range(total)]
    assert all(0 < rate <= 0.1 for rate in rates)
    assert math.isclose(rates[warmup], 0.1)
    assert rates[: warmup + 1] == sorted(rates[: warmup + 1])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
