import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcross.training.data.volumes import Volume
from fedcross.training.step.patch_draw import PatchDraw, crop_volume, index_motion
from fedcross.training.step.sampling import sample_patch

angle = st.floats(-math.pi, math.pi)
NO_ROTATION = (0.0, 0.0, 0.0)


def a_volume(*shape: int, seed: int = 0) -> Volume:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 3, shape, generator=generator, dtype=torch.uint8)
    return Volume("case", torch.randn((2, *shape), generator=generator), label)


def test_a_rotation_by_90_degrees_about_x_is_in_millimetres() -> None:
    # Voxels are 1 mm along y and 2 mm along z: two voxels along y are one voxel along z.
    draw = PatchDraw(0, (0.0, 0.0, 0.0), (math.pi / 2, 0.0, 0.0))
    matrix, offset = index_motion(draw, (5, 9, 1), (1.0, 1.0, 2.0))
    centre, two_along_y = (2, 4, 0), (2, 6, 0)
    assert apply(matrix, offset, centre) == pytest.approx(centre, abs=1e-12)
    assert apply(matrix, offset, two_along_y) == pytest.approx((3, 4, 0), abs=1e-12)


def apply(
    matrix: list[list[float]], offset: list[float], index: tuple[int, int, int]
) -> list[float]:
    return [
        sum(a * b for a, b in zip(row, index, strict=True)) + shift
        for row, shift in zip(matrix, offset, strict=True)
    ]


@given(angles=st.tuples(angle, angle, angle))
@settings(deadline=None)
def test_every_motion_preserves_distances_in_millimetres(
    angles: tuple[float, float, float],
) -> None:
    spacing = (0.5, 0.8, 3.0)
    matrix, _ = index_motion(PatchDraw(0, (0.0, 0.0, 0.0), angles), (4, 4, 4), spacing)
    scale = torch.diag(torch.tensor(spacing[::-1], dtype=torch.float64))
    in_mm = scale @ torch.tensor(matrix, dtype=torch.float64) @ scale.inverse()
    assert torch.allclose(in_mm @ in_mm.T, torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.linalg.det(in_mm).item() == pytest.approx(1.0)


@settings(max_examples=60, deadline=None)
@given(
    start=st.tuples(st.floats(-3, 9), st.floats(-3, 12), st.floats(-3, 6)),
    turns=st.tuples(angle, angle, angle),
    spacing=st.tuples(st.floats(0.4, 3), st.floats(0.4, 3), st.floats(0.4, 3)),
)
def test_a_patch_of_the_cropped_volume_equals_that_of_the_whole_volume(
    start: tuple[float, float, float],
    turns: tuple[float, float, float],
    spacing: tuple[float, float, float],
) -> None:
    volume, patch = a_volume(12, 16, 11), (4, 6, 5)
    draw = PatchDraw(0, start, turns)
    cropped, moved = crop_volume(volume, draw, patch, spacing)
    assert cropped.image.shape[1:] == cropped.label.shape
    image, label = sample_patch(cropped, moved, patch, spacing)
    expected, expected_label = sample_patch(volume, draw, patch, spacing)
    assert torch.allclose(image, expected, atol=1e-4)
    # Half way between two voxels, rounding may choose either of them.
    assert (label != expected_label).float().mean() <= 0.02


def test_a_volume_is_cropped_to_the_patch_and_one_voxel_on_each_side() -> None:
    cropped, moved = crop_volume(
        a_volume(40, 40, 40), PatchDraw(0, (10.0, 20.0, 5.0), NO_ROTATION), (4, 6, 5), (1, 1, 1)
    )
    assert cropped.image.shape == (2, 4 + 2, 6 + 2, 5 + 2)
    assert moved.start == (1.0, 1.0, 1.0)
