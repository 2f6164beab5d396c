import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.contract.request import SegmentRequest
from fedcross.errors import ConfigError, DataError
from fedcross.infer.segment import segment
from fedcross.model.bundle import Bundle
from fedcross.patches.placement import plan_patches, select_touching
from fedcross.patches.sliding_window import blend_patches
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.grid import Grid
from fedcross.volumes.region import Region

IDENTITY = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
ROTATED = [[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]
UNIT = Grid((10, 8, 6), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def write(path: Path, **changes: object) -> Path:
    content = {"center_mm": [4.0, 3.0, 2.0], "size_mm": [2.0, 4.0, 2.0], "axes": IDENTITY}
    path.write_text(json.dumps(content | changes))
    return path


def test_a_box_contains_the_voxel_centres_on_its_faces(tmp_path: Path) -> None:
    mask = Region.read(write(tmp_path / "r.json")).mask(UNIT)
    expected = np.zeros((6, 8, 10), bool)
    expected[1:4, 1:6, 3:6] = True
    assert (mask == expected).all()


def test_the_mask_of_a_rotated_box_on_an_oblique_anisotropic_grid_equals_its_definition(
    tmp_path: Path,
) -> None:
    direction = (0.0, -1.0, 0.0, 0.6, 0.0, -0.8, 0.8, 0.0, 0.6)
    grid = Grid((12, 9, 7), (1.0, 0.7, 2.5), (-3.0, 5.0, 1.0), direction)
    center = (grid.index_to_world @ (6, 4, 3, 1))[:3]
    path = write(tmp_path / "r.json", center_mm=center.tolist(), size_mm=[5, 3, 9], axes=ROTATED)
    mask = Region.read(path).mask(grid)
    assert 0 < mask.sum() < mask.size
    for z, y, x in np.ndindex(mask.shape):
        along = np.array(ROTATED) @ ((grid.index_to_world @ (x, y, z, 1))[:3] - center)
        assert mask[z, y, x] == (np.abs(along) <= np.array([2.5, 1.5, 4.5]) + 1e-9).all()


def test_a_box_beside_the_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no voxel"):
        Region.read(write(tmp_path / "r.json", center_mm=[99, 0, 0])).mask(UNIT)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size_mm": [1, 0, 1]}, "above 0"),
        ({"size_mm": [1, 1]}, "3 numbers"),
        ({"center_mm": [1, 1, float("nan")]}, "3 numbers"),
        ({"center_mm": "here"}, "3 numbers"),
        ({"center_mm": [1, 1, 10**400]}, "3 numbers"),
        ({"axes": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]}, "orthonormal"),
    ],
)
def test_a_file_that_does_not_describe_a_box_is_refused(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        Region.read(write(tmp_path / "r.json", **changes))


def test_a_box_around_the_volume_contains_every_voxel(tmp_path: Path) -> None:
    assert Region.read(write(tmp_path / "r.json", size_mm=[1e30] * 3)).mask(UNIT).all()


def test_a_missing_region_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Region.read(tmp_path / "none.json")


def test_only_patches_that_touch_the_needed_part_are_computed() -> None:
    volume = np.random.default_rng(0).normal(size=(1, 20, 16, 24)).astype(np.float32)
    calls = 0

    def predict(patch: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        p = 1 / (1 + np.exp(-patch[0] - patch.mean()))
        return np.stack([1 - p, p])

    needed = (slice(3, 5), slice(2, 6), slice(0, 7))
    settings = {"patch": (8, 8, 8), "overlap": 0.5, "classes": 2}
    part = blend_patches(predict, volume, needed=needed, **settings)
    assert calls == 2 * 2 * 2
    whole = blend_patches(predict, volume, **settings)
    assert np.array_equal(part[:, *needed], whole[:, *needed])
    untouched = part[:, 12:, 12:, 16:]
    assert (untouched[0] == 1).all()
    assert (untouched[1] == 0).all()


def test_patches_are_selected_by_their_position_in_the_padded_volume() -> None:
    needed = (slice(0, 2), slice(0, 2), slice(0, 2))
    starts = plan_patches((4, 4, 40), (8, 8, 8), 0.5)
    assert select_touching(starts, (8, 8, 8), needed) == [(-2, -2, 0)]


@pytest.mark.parametrize("axes", [IDENTITY, ROTATED])
def test_inside_a_region_the_result_equals_that_of_the_whole_volume_and_outside_it_is_zero(
    make_bundle: Callable[..., Bundle], tmp_path: Path, axes: list[list[float]]
) -> None:
    bundle = make_bundle(members=2)
    voxels = np.random.default_rng(1).normal(size=(30, 60, 70)).astype(np.float32)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.9, 1.2, 1.5))
    image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(image, str(tmp_path / "v.nrrd"))
    center = image.TransformContinuousIndexToPhysicalPoint((20, 20, 12))
    box = write(tmp_path / "r.json", center_mm=center, size_mm=[15, 12, 9], axes=axes)

    def run(name: str, region: Path | None) -> Path:
        request = SegmentRequest(
            bundle.path, tmp_path / "v.nrrd", tmp_path / name, roi=region, for_viewer=True
        )
        summary = segment(request, NullReporter())
        assert summary.roi == (region is not None)
        return tmp_path / name

    whole, part = run("whole", None), run("part", box)
    inside = Region.read(box).mask(Grid.of(image))
    for file in ("segmentation.seg.nrrd", "uncertainty.nrrd", "uncertainty_std.nrrd"):
        expected, found = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(folder / file))) for folder in (whole, part)
        )
        assert np.array_equal(found[inside], expected[inside])
        assert found[inside].any()
        assert not found[~inside].any()
