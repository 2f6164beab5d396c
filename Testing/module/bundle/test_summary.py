"""Reading the summary of a result folder."""

import json

import pytest

from fedcross.contract.files import SEGMENTATION, SUMMARY, UNCERTAINTY, uncertainty_file
from fedcross.contract.measures import MEASURES


@pytest.fixture
def read(loaded, result_folder):
    """Changes the summary and reads it."""
    from FedCrossSlicerLib.bundle.summary import readResult

    def change_and_read(change=lambda summary: None):
        path = result_folder / SUMMARY
        summary = json.loads(path.read_text(encoding="utf-8"))
        change(summary)
        path.write_text(json.dumps(summary), encoding="utf-8")
        return readResult(result_folder)

    return change_and_read


SPOT = {
    "centroid_mm": [1, -2, 3.5],
    "structure": None,
    "volume_ml": 0.2,
    "peak": 0.4,
    "mean": 0.3,
}


def test_the_figures_are_read_from_the_summary(read):
    result = read(lambda s: s.update(hot_spots=[SPOT]))
    prostate = result.structures[0]
    assert (prostate.volume, prostate.low, prostate.high) == (31.2, 29.8, 33.0)
    (found,) = result.hotSpots
    assert (found.rank, found.structure, found.centre) == (1, "", (1.0, -2.0, 3.5))
    assert (found.volume, found.peak, found.mean) == (0.2, 0.4, 0.3)
    assert result.maps["std"].windowMax == 0.5


def test_every_map_has_its_range_and_the_requested_map_is_the_first(read, result_folder):
    result = read(
        lambda s: s.update(measure="entropy", uncertainty={"max": 0.6, "window_max": 0.7})
    )
    assert next(iter(result.maps)) == "entropy"
    assert sorted(result.maps) == sorted(MEASURES)
    assert result.maps["entropy"].file == result_folder / UNCERTAINTY
    assert result.maps["entropy"].windowMax == 0.7
    dissent = result.maps["variation_ratio"]
    assert (dissent.windowMax, dissent.peak) == (0.75, 0.5)
    assert dissent.file == result_folder / uncertainty_file("variation_ratio")


def test_a_summary_with_one_map_only_is_read_too(read):
    def forget(summary):
        for key in ("uncertainty_maps", "files"):
            del summary[key]

    result = read(forget)
    assert list(result.maps) == ["std"]
    assert (result.distance, result.outlines) == (None, None)
    assert [path.name for path in result.files] == [SEGMENTATION, UNCERTAINTY]


def test_a_path_outside_the_folder_is_not_followed(read, result_folder):
    def point_elsewhere(summary):
        summary["uncertainty_maps"]["entropy"]["file"] = "../../etc/passwd"
        summary["files"]["distance"] = "/etc/passwd"

    result = read(point_elsewhere)
    assert {path.parent for path in result.files} == {result_folder}


def test_the_agreement_of_one_member_is_none(read):
    result = read(lambda s: s["structures"][0].update(mean_pairwise_dice=None))
    assert result.structures[0].agreement is None


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("measure"),
        lambda s: s.update(structures=[{}]),
        lambda s: s.update(structures=7),
        lambda s: s["uncertainty"].update(max="high"),
        lambda s: s.update(hot_spots=[{**SPOT, "centroid_mm": [1, 2]}]),
        lambda s: s.update(hot_spots=[{**SPOT, "peak": float("nan")}]),
        lambda s: s["uncertainty_maps"]["entropy"].pop("window_max"),
        lambda s: s["uncertainty_maps"]["entropy"].update(window_max=0.0),
        lambda s: s.update(uncertainty_maps=[]),
        lambda s: s.update(files=7),
        lambda s: s.update(packages="torch"),
        lambda s: s["bundle"].update(members=float("inf")),
    ],
    ids=[
        "no measure",
        "empty structure",
        "no list",
        "a word for a number",
        "a point in 2D",
        "not a number",
        "a map without range",
        "an empty range",
        "maps in a list",
        "no files",
        "no packages",
        "infinitely many members",
    ],
)
def test_an_incomplete_summary_raises_one_sentence(read, change):
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match="damaged or incomplete"):
        read(change)


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 200_000, b"\xff", b"[]", b"1"])
def test_a_summary_that_is_no_json_object_raises_one_sentence(loaded, tmp_path, content):
    from FedCrossSlicerLib.bundle.summary import readResult
    from FedCrossSlicerLib.errors import InferenceError

    (tmp_path / SUMMARY).write_bytes(content)
    with pytest.raises(InferenceError, match="damaged or incomplete"):
        readResult(tmp_path)


def test_a_missing_summary_raises_one_sentence(loaded, tmp_path):
    from FedCrossSlicerLib.bundle.summary import readResult
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match="has no summary: No such file"):
        readResult(tmp_path)


def test_the_summary_that_the_package_writes_can_be_read(loaded, tmp_path):
    """The package's schema of the summary and the module's reader must agree."""
    from fedcross.infer.results import summary as child
    from FedCrossSlicerLib.bundle.summary import readResult

    summary = child.Summary(
        created="2026-01-31T12:00:00+00:00",
        bundle=child.BundleIdentity(name="B", sha256="0" * 64, members=2),
        geometry=child.Geometry(size=(4, 4, 4), spacing_mm=(1.0, 1.0, 1.0)),
        roi=False,
        computed=1.0,
        measure="std",
        uncertainty_maps={"std": child.UncertaintyMap(max=0.3, window_max=0.5, file=UNCERTAINTY)},
        uncertainty=child.Uncertainty(max=0.3, window_max=0.5),
        structures=(
            child.StructureSummary(
                name="Prostate",
                label=1,
                volume_ml=30.0,
                member_volumes_ml=(29.0, 31.0),
                mean_ml=30.0,
                min_ml=29.0,
                median_ml=30.0,
                max_ml=31.0,
                coefficient_of_variation=0.03,
                mean_pairwise_dice=0.9,
            ),
        ),
        hot_spot_threshold=0.25,
        hot_spots=(
            child.HotSpotSummary(
                rank=1,
                centroid_voxel=(1.0, 2.0, 3.0),
                centroid_mm=(-1.0, -2.0, 3.0),
                volume_ml=0.1,
                voxels=100,
                peak=0.3,
                mean=0.28,
                structure="Prostate",
            ),
        ),
        files={},
        backend="torch",
        device="CPU",
        precision="fp32",
        timings_s={},
        packages={"torch": "2.13.0"},
    )
    (tmp_path / SUMMARY).write_text(summary.model_dump_json(), encoding="utf-8")
    read = readResult(tmp_path)
    (spot,) = read.hotSpots
    assert (spot.structure, spot.volume, spot.centre) == ("Prostate", 0.1, (-1.0, -2.0, 3.0))
    assert (read.structures[0].low, read.structures[0].high) == (29.0, 31.0)
    assert read.structures[0].agreement == 0.9
    assert (read.maps["std"].peak, read.maps["std"].windowMax) == (0.3, 0.5)
