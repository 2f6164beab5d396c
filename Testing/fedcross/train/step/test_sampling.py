import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcross.train.data.volumes import Volume
from fedcross.train.step.sampling import (
    PatchDraw,
    around,
    draw_epoch,
    index_motion,
    sample_batch,
    sample_patch,
)

angle = st.floats(-math.pi, math.pi)
NO_TURN = (0.0, 0.0, 0.0)


def a_volume(*shape: int, seed: int = 0) -> Volume:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 3, shape, generator=generator, dtype=torch.uint8)
    return Volume("case", torch.randn(shape, generator=generator), label)


def test_without_rotation_a_whole_start_is_the_plain_crop() -> None:
    volume = a_volume(9, 12, 15)
    draw = PatchDraw(0, (1.0, 3.0, 2.0), NO_TURN)
    image, label = sample_patch(volume, draw, (4, 8, 6), (0.7, 1.1, 3.0))
    assert torch.allclose(image[0], volume.image[1:5, 3:11, 2:8], atol=1e-5)
    assert torch.equal(label, volume.label[1:5, 3:11, 2:8].long())


def test_half_a_voxel_further_lies_the_mean_of_two_neighbours() -> None:
    volume = a_volume(4, 4, 6)
    draw = PatchDraw(0, (0.0, 0.0, 0.5), NO_TURN)
    image, _ = sample_patch(volume, draw, (4, 4, 4), (1, 1, 1))
    expected = (volume.image[..., 0:4] + volume.image[..., 1:5]) / 2
    assert torch.allclose(image[0], expected, atol=1e-5)


def test_a_small_volume_is_centred_and_zero_lies_around_it() -> None:
    volume = Volume("case", torch.ones(2, 2, 2), torch.ones(2, 2, 2, dtype=torch.uint8))
    (draw,) = draw_epoch(
        [volume],
        patch=(4, 4, 4),
        patches_per_case=1,
        rotation_rad=0.0,
        foreground_fraction=0.0,
        generator=torch.Generator().manual_seed(0),
    )
    image, label = sample_patch(volume, draw, (4, 4, 4), (1, 1, 1))
    expected = torch.zeros(4, 4, 4)
    expected[1:3, 1:3, 1:3] = 1
    assert torch.allclose(image[0], expected, atol=1e-5)
    assert torch.equal(label, expected.long())


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    volume = a_volume(3, 6, 6)
    draw = PatchDraw(0, (0.0, 0.0, 0.0), (0.0, 0.0, math.pi / 2))
    image, label = sample_patch(volume, draw, (3, 6, 6), (1, 1, 1))
    # Seen from the centre, (x, y) comes from (-y, x): row y, column x is row x, column 5 - y.
    expected = torch.stack(
        [torch.stack([volume.image[:, x, 5 - y] for x in range(6)], -1) for y in range(6)], 1
    )
    assert torch.allclose(image[0], expected, atol=1e-5)
    turned = volume.label.flip(2).transpose(1, 2)
    assert torch.equal(label, turned.long())


def test_a_quarter_turn_about_x_counts_millimetres_and_not_voxels() -> None:
    # Voxels are 1 mm along y and 2 mm along z: two voxels along y come from one along z.
    draw = PatchDraw(0, (0.0, 0.0, 0.0), (math.pi / 2, 0.0, 0.0))
    matrix, offset = index_motion(draw, (5, 9, 1), (1.0, 1.0, 2.0))
    centre, two_along_y = (2, 4, 0), (2, 6, 0)
    assert moved(matrix, offset, centre) == pytest.approx(centre, abs=1e-12)
    assert moved(matrix, offset, two_along_y) == pytest.approx((3, 4, 0), abs=1e-12)


def moved(
    matrix: list[list[float]], offset: list[float], index: tuple[int, int, int]
) -> list[float]:
    return [
        sum(a * b for a, b in zip(row, index, strict=True)) + shift
        for row, shift in zip(matrix, offset, strict=True)
    ]


@given(angles=st.tuples(angle, angle, angle))
@settings(deadline=None)
def test_every_motion_keeps_distances_in_millimetres(angles: tuple[float, float, float]) -> None:
    spacing = (0.5, 0.8, 3.0)
    matrix, _ = index_motion(PatchDraw(0, (0.0, 0.0, 0.0), angles), (4, 4, 4), spacing)
    scale = torch.diag(torch.tensor(spacing[::-1], dtype=torch.float64))
    in_mm = scale @ torch.tensor(matrix, dtype=torch.float64) @ scale.inverse()
    assert torch.allclose(in_mm @ in_mm.T, torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.linalg.det(in_mm).item() == pytest.approx(1.0)


@given(angles=st.tuples(angle, angle, angle))
@settings(deadline=None, max_examples=20)
def test_a_sphere_on_an_anisotropic_grid_stays_a_sphere(
    angles: tuple[float, float, float],
) -> None:
    spacing = (1.0, 1.0, 3.0)
    z, y, x = torch.meshgrid(
        (torch.arange(13) - 6) * 3.0,
        torch.arange(-18.0, 19.0),
        torch.arange(-18.0, 19.0),
        indexing="ij",
    )
    radius = (x**2 + y**2 + z**2).sqrt()
    volume = Volume("ball", radius - 10, (radius < 10).to(torch.uint8))
    draw = PatchDraw(0, (0.0, 0.0, 0.0), angles)
    image, label = sample_patch(volume, draw, (13, 37, 37), spacing)
    inside = radius < 14  # the rest may turn out of the volume
    # Straight lines between samples 3 mm apart miss the distance by less than 3/4 mm.
    assert (image[0] - volume.image)[inside].abs().max() < 0.75
    wrong = (label != volume.label)[inside]
    assert (radius[inside][wrong] - 10).abs().max() < math.sqrt(1 + 1 + 9) / 2 if wrong.any() else 1


def test_an_epoch_takes_every_case_equally_often_and_stays_inside() -> None:
    volumes = [a_volume(10, 12, 14), a_volume(8, 30, 9, seed=1), a_volume(20, 8, 8, seed=2)]
    draws = draw_epoch(
        volumes,
        patch=(8, 8, 8),
        patches_per_case=50,
        rotation_rad=0.1,
        foreground_fraction=0.5,
        generator=torch.Generator().manual_seed(3),
    )
    assert sorted(draw.case for draw in draws) == [0] * 50 + [1] * 50 + [2] * 50
    for draw in draws:
        for start, size in zip(draw.start, volumes[draw.case].label.shape, strict=True):
            assert 0 <= start <= size - 8
        assert all(abs(value) <= 0.1 for value in draw.angles_rad)
    starts = [draw.start[1] for draw in draws if draw.case == 1]
    assert min(starts) < 3  # spread over all 22
    assert max(starts) > 19


def test_foreground_patches_hold_a_labelled_voxel() -> None:
    label = torch.zeros(30, 30, 30, dtype=torch.uint8)
    label[29, 0, 17] = 2
    volume = Volume("case", torch.zeros(30, 30, 30), label)
    draws = draw_epoch(
        [volume],
        patch=(8, 8, 8),
        patches_per_case=20,
        rotation_rad=0.0,
        foreground_fraction=1.0,
        generator=torch.Generator().manual_seed(3),
    )
    for draw in draws:
        assert sample_patch(volume, draw, (8, 8, 8), (1, 1, 1))[1].max() == 2


def test_foreground_patches_of_an_empty_label_lie_anywhere() -> None:
    volume = Volume("case", torch.zeros(9, 9, 9), torch.zeros(9, 9, 9, dtype=torch.uint8))
    draws = draw_epoch(
        [volume],
        patch=(8, 8, 8),
        patches_per_case=2,
        rotation_rad=0.0,
        foreground_fraction=1.0,
        generator=torch.Generator().manual_seed(3),
    )
    assert len(draws) == 2


def test_the_same_seed_draws_the_same_epoch_and_another_another() -> None:
    def drawn(seed: int) -> list[PatchDraw]:
        return draw_epoch(
            [a_volume(10, 10, 10)],
            patch=(8, 8, 8),
            patches_per_case=4,
            rotation_rad=0.1,
            foreground_fraction=0.3,
            generator=torch.Generator().manual_seed(seed),
        )

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def epoch_with(intensity: float) -> list[PatchDraw]:
    return draw_epoch(
        [a_volume(10, 10, 10)],
        patch=(8, 8, 8),
        patches_per_case=200,
        rotation_rad=0.1,
        foreground_fraction=0.3,
        generator=torch.Generator().manual_seed(1),
        intensity=intensity,
    )


def test_gains_and_shifts_stay_within_their_bounds_and_patches_where_they_are() -> None:
    plain, shaded = epoch_with(0.0), epoch_with(0.25)
    assert {(draw.gain, draw.shift) for draw in plain} == {(1.0, 0.0)}
    assert [replace(draw, gain=1.0, shift=0.0) for draw in shaded] == plain
    gains, shifts = [draw.gain for draw in shaded], [draw.shift for draw in shaded]
    assert 0.75 <= min(gains) < 0.8
    assert 1.2 < max(gains) <= 1.25
    assert -0.25 <= min(shifts) < -0.2
    assert 0.2 < max(shifts) <= 0.25


def test_a_patch_is_multiplied_then_shifted_and_its_label_stays() -> None:
    volume = a_volume(6, 6, 6)
    draw = PatchDraw(0, (1.0, 1.0, 1.0), NO_TURN)
    image, label = sample_patch(volume, draw, (4, 4, 4), (1.0, 1.0, 1.0))
    shaded, same_label = sample_patch(
        volume, replace(draw, gain=1.5, shift=-0.25), (4, 4, 4), (1.0, 1.0, 1.0)
    )
    torch.testing.assert_close(shaded, image * 1.5 - 0.25)
    assert torch.equal(label, same_label)


@settings(max_examples=60, deadline=None)
@given(
    start=st.tuples(st.floats(-3, 9), st.floats(-3, 12), st.floats(-3, 6)),
    turns=st.tuples(angle, angle, angle),
    spacing=st.tuples(st.floats(0.4, 3), st.floats(0.4, 3), st.floats(0.4, 3)),
)
def test_what_a_patch_sees_of_a_volume_is_all_it_needs(
    start: tuple[float, float, float],
    turns: tuple[float, float, float],
    spacing: tuple[float, float, float],
) -> None:
    volume, patch = a_volume(12, 16, 11), (4, 6, 5)
    draw = PatchDraw(0, start, turns)
    cropped, moved = around(volume, draw, patch, spacing)
    assert cropped.image.shape == cropped.label.shape
    image, label = sample_patch(cropped, moved, patch, spacing)
    expected, drawn = sample_patch(volume, draw, patch, spacing)
    assert torch.allclose(image, expected, atol=1e-4)
    # A point between two voxels may round to either of them.
    assert (label != drawn).float().mean() <= 0.02


def test_only_what_a_patch_sees_is_cut_out() -> None:
    cropped, moved = around(
        a_volume(40, 40, 40), PatchDraw(0, (10.0, 20.0, 5.0), NO_TURN), (4, 6, 5), (1, 1, 1)
    )
    assert cropped.image.shape == (4 + 2, 6 + 2, 5 + 2)  # a voxel more at each end
    assert moved.start == (1.0, 1.0, 1.0)


def test_volumes_that_lie_elsewhere_are_cropped_before_they_are_brought_over() -> None:
    volume = a_volume(12, 16, 11)
    draws = [PatchDraw(0, (3.0, 4.0, 2.0), (0.1, 0.0, 0.2)), PatchDraw(0, (0.0, 0.0, 0.0), NO_TURN)]
    how: dict[str, Any] = {"patch": (4, 6, 5), "spacing_mm": (1.0, 1.0, 1.0)}
    images, labels = sample_batch([volume], draws, **how, device=torch.device("meta"))
    assert (images.device.type, images.shape) == ("meta", (2, 1, 4, 6, 5))
    assert labels.shape == (2, 4, 6, 5)
    here, _ = sample_batch([volume], draws, **how, device=torch.device("cpu"))
    assert torch.equal(here, sample_batch([volume], draws, **how)[0])
