"""What `fedcross segment` writes with a calibrated bundle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.calibration.calibrate import with_calibration
from fedcross.contract.request import SegmentRequest
from fedcross.contract.verdict import Basis, Verdict
from fedcross.infer.results.contours import make_contours
from fedcross.infer.results.summary import Summary
from fedcross.infer.segment import segment
from fedcross.model.bundle import Bundle
from fedcross.model.bundle_copy import write_copy
from fedcross.model.calibration import Calibration
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.grid import Grid

STRUCTURE = {
    "name": "Left kidney",
    "cases": 30,
    "sites": 3,
    "predicted_dice": {"intercept": 0.1, "slope": 0.8, "error": 0.02},
    "volume": {"coverage": 0.9, "below": 1.0, "above": 2.0},
    "contours": [{"alpha": 0.05, "inner": 3.0, "outer": 4.0}, {"alpha": 0.1, "outer": 2.0}],
}

pytestmark = pytest.mark.usefixtures("asymmetric_members")


@pytest.fixture
def run(bundle: Bundle, image_path: Path, tmp_path: Path) -> Callable[..., tuple[Summary, Path]]:
    """Segment with the tiny bundle, calibrated as given."""

    def run(structures: list[dict[str, Any]], **fields: Any) -> tuple[Summary, Path]:
        calibration = Calibration.model_validate(
            {"cases": 30, "sites": 3, **fields, "structures": structures}
        )
        write_copy(bundle, with_calibration(bundle, calibration).manifest, tmp_path / "calibrated")
        request = SegmentRequest(
            tmp_path / "calibrated", image_path, tmp_path / "out", device="cpu"
        )
        return segment(request, NullReporter()), tmp_path / "out"

    return run


def test_a_calibrated_structure_has_an_interval_and_a_predicted_dice(
    run: Callable[..., tuple[Summary, Path]],
) -> None:
    summary, _ = run([STRUCTURE])
    kidney, tumor = summary.structures
    volumes = np.array(kidney.member_volumes_ml)
    width = min(0.25, np.log(volumes).std()) + 0.05
    expected = kidney.volume_ml * np.exp([-width, 2 * width])
    assert kidney.interval_ml == pytest.approx(tuple(expected))
    assert kidney.interval_coverage == 0.9
    assert kidney.mean_pairwise_dice is not None
    assert kidney.predicted_dice == pytest.approx(0.1 + 0.8 * kidney.mean_pairwise_dice)
    assert kidney.predicted_dice_error == 0.02
    assert kidney.verdict_basis is Basis.PREDICTED_DICE
    assert summary.calibration is not None
    assert (summary.calibration.cases, summary.calibration.sites) == (30, 3)
    assert tumor.interval_ml is tumor.predicted_dice is None
    assert tumor.verdict_basis is Basis.AGREEMENT


def test_the_verdict_follows_the_predicted_dice(
    run: Callable[..., tuple[Summary, Path]],
) -> None:
    flat = {"intercept": 0.9, "slope": 0.0, "error": 0.05}
    summary, _ = run([{**STRUCTURE, "predicted_dice": flat}])
    assert summary.structures[0].verdict is Verdict.AGREE
    summary, _ = run([{**STRUCTURE, "predicted_dice": {**flat, "intercept": 0.3}}])
    assert summary.structures[0].verdict is Verdict.DISTRUST


def test_the_contours_lie_around_the_segmentation(
    run: Callable[..., tuple[Summary, Path]],
) -> None:
    summary, out = run([STRUCTURE])
    assert summary.files["contours"] == "contours.seg.nrrd"
    image = sitk.ReadImage(str(out / "contours.seg.nrrd"))
    names = [
        image.GetMetaData(key)
        for key in image.GetMetaDataKeys()
        if key.startswith("Segment") and key.endswith("_ID")
    ]
    assert sorted(names) == ["inner_5_left_kidney", "outer_10_left_kidney", "outer_5_left_kidney"]
    layers = sitk.GetArrayFromImage(image)  # (z, y, x, layers): inner 5, outer 10, outer 5
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.seg.nrrd")))
    counts = [np.count_nonzero(layers[..., layer]) for layer in range(3)]
    segmented = np.count_nonzero(labels == 1)
    assert 0 < counts[0] < segmented < counts[1] < counts[2]


def test_an_uncalibrated_bundle_writes_what_it_wrote(
    bundle: Bundle, image_path: Path, tmp_path: Path
) -> None:
    summary = segment(
        SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu"), NullReporter()
    )
    assert summary.calibration is None
    assert "contours" not in summary.files
    assert not (tmp_path / "out" / "contours.seg.nrrd").exists()
    for structure in summary.structures:
        assert structure.interval_ml is structure.predicted_dice is None


def test_contours_in_a_box_are_those_of_the_whole_volume() -> None:
    from fedcross.uncertainty.contours import inner_contour, outer_contour, signed_distance
    from fedcross.volumes.structure import Structure

    labels = np.zeros((12, 20, 24), np.uint8)
    labels[2:7, 0:9, 5:14] = 1
    labels[4, 4, 8] = 0
    grid = Grid((24, 20, 12), (1.0, 1.5, 2.0), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    calibration = Calibration.model_validate({"cases": 30, "sites": 3, "structures": [STRUCTURE]})
    structure = Structure(name="Left kidney", label=1)
    distances = signed_distance(labels == 1, (2.0, 1.5, 1.0))
    wanted = [inner_contour(distances, 3), outer_contour(distances, 2), outer_contour(distances, 4)]
    made = make_contours(labels, [structure], calibration, grid)
    for each, expected in zip(made, wanted, strict=True):
        whole = np.zeros(labels.shape, np.bool_)
        whole[each.box] = each.mask
        np.testing.assert_array_equal(whole, expected)
