"""A bundle that would exhaust the machine is refused before it does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcross.contract.request import RequestOptions, SegmentRequest
from fedcross.errors import DeviceError
from fedcross.infer import cost
from fedcross.infer.cost import Cost, TimeLimit, check_cost, compute_cost
from fedcross.infer.segment import segment
from fedcross.patches.placement import count_patches, plan_patches
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.grid import Grid

SMALL = Cost(patches=8, memory_bytes=10**6, disk_bytes=10**6)
SIDES = st.tuples(*[st.integers(1, 40)] * 3)


@given(SIDES, SIDES, st.floats(0, 1, exclude_max=True))
def test_the_number_of_patches_is_that_of_the_plan(
    shape: tuple[int, int, int], patch: tuple[int, int, int], overlap: float
) -> None:
    if count_patches(shape, patch, overlap) <= 20_000:
        plan = plan_patches(shape, patch, overlap)
        assert count_patches(shape, patch, overlap) == len(plan)


def test_the_cost_of_a_small_volume_by_hand(make_bundle) -> None:
    manifest = make_bundle(members=3, structures=2, patch_size=(32, 32, 16)).manifest
    grid = Grid((40, 30, 20), (1, 1, 2), (0, 0, 0), tuple(np.eye(3).ravel()))
    found = compute_cost(manifest, grid, (80, 30, 20), ("std",))
    # Three classes, one channel, two features at the first level; overlap 0.25.
    assert found.patches == 2 * 1 * 2  # z: 20 over 16; y: 30 under 32; x: 40 over 32
    intensities, features = 40 * 30 * 20, (1 + 3 + 2 * 2) * 32 * 32 * 16
    sums, statistics = (3 + 1) * 16 * 40 * 32, 4 * 40 * 30 * 20  # mean of 3 classes, and squares
    assert found.memory_bytes == 4 * (intensities + features + sums + statistics)
    assert found.disk_bytes == 3 * 80 * 30 * 20


def test_dicom_results_need_memory_for_the_probabilities_and_fit_into_an_element(
    make_bundle, tmp_path: Path
) -> None:
    manifest = make_bundle(members=3, structures=2, patch_size=(32, 32, 16)).manifest
    grid = Grid((40, 30, 20), (1, 1, 2), (0, 0, 0), tuple(np.eye(3).ravel()))
    plain = compute_cost(manifest, grid, (1000, 1000, 1080), ("std",))
    found = compute_cost(manifest, grid, (1000, 1000, 1080), ("std",), writes_dicom=True)
    statistics = 4 * 4 * 40 * 30 * 20
    assert plain.dicom_bytes == 0
    # A label map, two maps, and two probabilities twice; the networks' grid needs less.
    assert found.memory_bytes == statistics + 1_080_000_000 * (1 + 4 * (2 + 2 * 2))
    assert found.dicom_bytes == 4 * 1_080_000_000
    with pytest.raises(DeviceError, match=r"may need 4\.32 GB, but DICOM allows 4\.29 GB"):
        check_cost(found, RequestOptions(max_memory_gb=1e6), tmp_path)


def test_a_cost_within_the_limits_is_accepted(tmp_path: Path) -> None:
    check_cost(SMALL, RequestOptions(), tmp_path)


def test_too_many_patches_are_refused_whatever_is_allowed(tmp_path: Path) -> None:
    options = RequestOptions(max_memory_gb=1e6, max_hours=1e6)
    with pytest.raises(DeviceError, match="into 17,000,000 patches, more than the 500,000"):
        check_cost(replace(SMALL, patches=17_000_000), options, tmp_path)


def test_more_memory_than_the_machine_has_left_is_refused_unless_the_user_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "available_bytes", lambda: 3 * 10**9)
    large = replace(SMALL, memory_bytes=8_700_000_000)
    with pytest.raises(DeviceError, match=r"at least 8\.7 GB of memory, but only 3\.0 GB are free"):
        check_cost(large, RequestOptions(), tmp_path)
    with pytest.raises(DeviceError, match=r"only 5\.0 GB are allowed by --max-memory-gb"):
        check_cost(large, RequestOptions(max_memory_gb=5), tmp_path)
    check_cost(large, RequestOptions(max_memory_gb=9), tmp_path)
    monkeypatch.setattr(cost, "available_bytes", lambda: None)  # not known: nothing is refused
    check_cost(large, RequestOptions(), tmp_path)


def test_more_temporary_files_than_the_disk_can_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"1000000000\.0 GB for temporary files"):
        check_cost(replace(SMALL, disk_bytes=10**18), RequestOptions(), tmp_path)


def test_a_predicted_time_beyond_the_limit_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(cost.time, "monotonic", lambda: now[0])
    limit = TimeLimit(NullReporter(), max_hours=1)
    for done in range(1, 13):  # three slow patches at the start, then two seconds each
        now[0] += 60 if done <= 3 else 2
        limit.progress(done, 7200, "ensemble")
    now[0] += 2
    with pytest.raises(DeviceError, match=r"about 4 h for 7,200 patches, more than the 1 h"):
        limit.progress(13, 7200, "ensemble")


def test_a_predicted_time_within_the_limit_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(cost.time, "monotonic", lambda: now[0])
    limit = TimeLimit(NullReporter(), max_hours=1)
    for done in range(1, 101):
        now[0] += 30
        limit.progress(done, 100, "ensemble")


@pytest.mark.parametrize(
    ("preprocessing", "sentence"),
    [
        ({"overlap": 0.999999, "spacing_mm": (0.3, 0.3, 0.3)}, "patches, more than"),
        ({"patch_size": (1024, 1024, 1024)}, "GB of memory, but only"),
    ],
)
def test_a_bundle_that_exhausts_the_machine_is_refused_before_anything_is_computed(
    make_bundle, image_path: Path, tmp_path: Path, preprocessing, sentence: str
) -> None:
    bundle = make_bundle(**preprocessing)
    request = SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu")
    with pytest.raises(DeviceError, match=sentence):
        segment(request, NullReporter())
    assert not (tmp_path / "out").exists()
