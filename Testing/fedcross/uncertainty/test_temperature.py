"""The temperature of an ensemble."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from fedcross.uncertainty.temperature import TEMPERATURES, choose_temperature, likelihood_sums


def test_the_likelihood_equals_hand_computed_numbers() -> None:
    members = np.array(
        [[[0.2], [0.8]], [[0.5], [0.5]]], np.float32
    )  # 2 members, 2 classes, 1 voxel
    sums = likelihood_sums(members, np.array([1], np.uint8))
    at = dict(zip(TEMPERATURES, sums, strict=True))
    assert at[1.0] == pytest.approx(-math.log((0.8 + 0.5) / 2))
    # At T = 0.5 the probabilities are squared: 0.64 / 0.68 and 0.5.
    assert at[0.5] == pytest.approx(-math.log((0.64 / 0.68 + 0.5) / 2))


def test_the_temperature_that_the_members_had_is_taken_back() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (3, 4, 50))
    labels = np.random.default_rng(2).integers(0, 4, 50).astype(np.uint8)
    plain = likelihood_sums(softmax(logits, axis=1).astype(np.float32), labels)
    warm = likelihood_sums(softmax(logits / 2, axis=1).astype(np.float32), labels, 2.0)
    np.testing.assert_allclose(plain, warm, rtol=1e-4)


def test_the_temperature_of_overconfident_members_is_found() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 1.5, (1, 3, 20_000))
    probabilities = softmax(logits[0], axis=0)
    labels = (rng.uniform(size=20_000) > probabilities.cumsum(axis=0)[:2]).sum(axis=0)
    sharp = softmax(2 * logits, axis=1).astype(np.float32)
    sums = likelihood_sums(sharp, labels.astype(np.uint8))
    assert choose_temperature(sums) == pytest.approx(2.0, rel=0.08)


def test_sums_of_two_sites_are_those_of_all_voxels() -> None:
    rng = np.random.default_rng(4)
    members = softmax(rng.normal(size=(2, 3, 60)), axis=1).astype(np.float32)
    labels = rng.integers(0, 3, 60).astype(np.uint8)
    parts = likelihood_sums(members[..., :20], labels[:20]) + likelihood_sums(
        members[..., 20:], labels[20:]
    )
    np.testing.assert_allclose(parts, likelihood_sums(members, labels), rtol=1e-9)


def test_without_voxels_the_temperature_is_1() -> None:
    none = likelihood_sums(np.empty((2, 3, 0), np.float32), np.empty(0, np.uint8))
    assert none.tolist() == [0.0] * len(TEMPERATURES)
    assert choose_temperature(none) == 1.0


def test_probabilities_of_0_have_a_finite_likelihood() -> None:
    members = np.array([[[0.0], [1.0]]], np.float32)
    assert np.isfinite(likelihood_sums(members, np.array([0], np.uint8))).all()
