"""What sites and server send each other to make a profile."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fedcross.calibration.profile_messages import KnownMoments, SentMoments, SiteProperties
from fedcross.errors import DataError
from fedcross.uncertainty.moments import Moments

ROWS = np.array([[1.0, 2.0], [3.0, 2.5], [2.0, -1.0]])
NUMBERS = st.floats(-1e3, 1e3, allow_nan=False)


def known(distances: Moments | None = None) -> KnownMoments:
    return KnownMoments((Moments.of(ROWS), Moments.of(2 * ROWS)), 1, True, distances)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=6))
def test_moments_are_the_same_after_they_were_sent_as_text(rows: list[tuple[float, ...]]) -> None:
    moments = Moments.of(rows)
    text = SentMoments.of(moments).model_dump_json()
    back = SentMoments.model_validate_json(text).moments
    assert back.count == moments.count
    np.testing.assert_array_equal(back.mean, moments.mean)
    np.testing.assert_array_equal(np.tril(back.scatter), np.tril(moments.scatter))
    np.testing.assert_array_equal(back.scatter, back.scatter.T)


def test_moments_are_the_same_after_they_were_sent_as_tensors() -> None:
    for distances in (None, Moments.of(ROWS)):
        sent = known(distances)
        back = KnownMoments.from_tensors(sent.to_tensors())
        assert (back.own, back.only_validation) == (1, True)
        np.testing.assert_array_equal(back.sites[1].scatter, sent.sites[1].scatter)
        assert (back.distances is None) == (distances is None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("site.means", torch.zeros(2, 3, dtype=torch.float64)),
        ("site.means", torch.full((2, 2), torch.nan, dtype=torch.float64)),
        ("site.scatters", torch.zeros(2, 2)),
        ("site.counts", torch.ones(3)),
        ("own", torch.tensor(2)),
        ("own", torch.tensor([0, 1])),
        ("own", None),
    ],
)
def test_tensors_of_another_form_are_one_sentence(name: str, value: torch.Tensor | None) -> None:
    tensors = known().to_tensors()
    if value is None:
        del tensors[name]
    else:
        tensors[name] = value
    with pytest.raises(DataError, match="moments of another form"):
        KnownMoments.from_tensors(tensors)


@pytest.mark.parametrize(
    "change",
    [
        {"count": 0},
        {"mean": (1.0,)},
        {"scatter": (-1.0, 0.0, 1.0)},
        {"scatter": (float("inf"), 0.0, 1.0)},
        {"mean": (1e13, 0.0)},
        {"names": ("case-1",)},
    ],
)
def test_impossible_moments_of_a_site_are_refused(change: dict[str, object]) -> None:
    record = SentMoments.of(Moments.of(ROWS)).model_dump()
    with pytest.raises(ValidationError):
        SentMoments.model_validate(record | change)


def test_each_property_needs_a_mean_and_a_site_has_no_more_validation_cases_than_cases() -> None:
    sent = SentMoments.of(Moments.of(ROWS))
    SiteProperties(groups=(("noise", "doubt"),), moments=sent, validation=3)
    with pytest.raises(ValidationError, match="needs a mean"):
        SiteProperties(groups=(("noise",),), moments=sent, validation=3)
    with pytest.raises(ValidationError, match="more validation cases"):
        SiteProperties(groups=(("noise", "doubt"),), moments=sent, validation=4)
