"""Properties of what an ensemble found, against numbers derived by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcross.ensemble.members import EnsembleOutcome
from fedcross.ensemble.slab_statistics import SlabStatistics
from fedcross.infer.familiarity import findings
from fedcross.infer.familiarity.findings import measure_findings, take_thumbnail
from fedcross.infer.familiarity.image import Properties
from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import Prepared

SHAPE = (8, 10, 12)  # z, y, x
GRID = Grid(SHAPE[::-1], (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def box(low: int, high: int) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[2:6, 2:8, low:high] = True
    return mask


def measure(*members: NDArray[np.bool_]) -> Properties:
    """Properties of members that are sure of their masks, in an image that is 3 inside the first."""
    statistics = SlabStatistics((2, *SHAPE), ("std",))
    for part in (slice(0, 3), slice(3, 8)):
        for mask in members:
            inside = mask[part].astype(np.float32)
            statistics.update(part, np.stack([1 - inside, inside]))
    image = 3 * members[0][None].astype(np.float32)
    thumbnail = take_thumbnail(Prepared(image, GRID, GRID, GRID))
    labels = [mask.astype(np.uint8) for mask in members]
    return measure_findings(EnsembleOutcome(statistics, labels, 1.0), thumbnail, GRID, [1])  # type: ignore[arg-type]


def test_two_members_that_agree_by_hand() -> None:
    found = measure(box(0, 6), box(0, 6))
    assert np.exp(found["volume:1"]) == pytest.approx(4 * 6 * 6 * 2 / 1000)
    assert found["place_x:1"] == pytest.approx(3 / 12 - 0.5)
    assert found["place_y:1"] == found["place_z:1"] == 0
    assert found["share_at_edge:1"] == pytest.approx(1 / 6)
    assert found["brightness_0:1"] == found["contrast_0:1"] == 3
    assert np.exp(found["disagreement"]) == pytest.approx(0.01)
    assert np.exp(found["doubt"]) == pytest.approx(1 / 145)


def test_disagreement_and_doubt_of_two_members_by_hand() -> None:
    found = measure(box(0, 6), box(3, 9))
    assert np.exp(found["disagreement"]) == pytest.approx(1.01 - 0.5)
    # 72 voxels are common; at 144 others the mean probability is 0.5, and the label is background.
    assert np.exp(found["doubt"]) == pytest.approx((72 + 1) / (72 + 1))


def test_a_structure_that_was_not_found_has_finite_properties() -> None:
    found = measure(box(0, 0), box(0, 0))
    assert np.exp(found["volume:1"]) == pytest.approx(findings.SMALLEST_ML)
    assert found["place_x:1"] == found["contrast_0:1"] == found["share_at_edge:1"] == 0
    assert np.isfinite(list(found.values())).all()


def test_every_second_voxel_tells_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure(box(2, 8), box(2, 8))
    monkeypatch.setattr(findings, "MAX_VOXELS", 960 // 8)
    part = measure(box(2, 8), box(2, 8))
    assert part["volume:1"] == pytest.approx(whole["volume:1"])
    assert part["place_x:1"] == pytest.approx(whole["place_x:1"], abs=0.05)
    assert part["brightness_0:1"] == 3
