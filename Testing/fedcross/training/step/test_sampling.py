import math
from dataclasses import replace
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcross.training.data.volumes import Volume
from fedcross.training.step.appearance import Appearance
from fedcross.training.step.patch_draw import PatchDraw
from fedcross.training.step.sampling import draw_epoch, sample_batch, sample_patch

angle = st.floats(-math.pi, math.pi)
NO_ROTATION = (0.0, 0.0, 0.0)


def a_volume(*shape: int, seed: int = 0) -> Volume:
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 3, shape, generator=generator, dtype=torch.uint8)
    return Volume("case", torch.randn((1, *shape), generator=generator), label)


def test_without_rotation_an_integer_start_gives_a_crop() -> None:
    volume = a_volume(9, 12, 15)
    draw = PatchDraw(0, (1.0, 3.0, 2.0), NO_ROTATION)
    image, label = sample_patch(volume, draw, (4, 8, 6), (0.7, 1.1, 3.0))
    assert torch.allclose(image, volume.image[:, 1:5, 3:11, 2:8], atol=1e-5)
    assert torch.equal(label, volume.label[1:5, 3:11, 2:8].long())


def test_a_start_half_way_between_voxels_gives_their_mean() -> None:
    volume = a_volume(4, 4, 6)
    draw = PatchDraw(0, (0.0, 0.0, 0.5), NO_ROTATION)
    image, _ = sample_patch(volume, draw, (4, 4, 4), (1, 1, 1))
    expected = (volume.image[..., 0:4] + volume.image[..., 1:5]) / 2
    assert torch.allclose(image, expected, atol=1e-5)


def test_a_volume_smaller_than_the_patch_is_centred_and_surrounded_by_zeros() -> None:
    volume = Volume("case", torch.ones(1, 2, 2, 2), torch.ones(2, 2, 2, dtype=torch.uint8))
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


def test_a_rotation_by_90_degrees_about_z_maps_x_to_y() -> None:
    volume = a_volume(3, 6, 6)
    draw = PatchDraw(0, (0.0, 0.0, 0.0), (0.0, 0.0, math.pi / 2))
    image, label = sample_patch(volume, draw, (3, 6, 6), (1, 1, 1))
    # Relative to the centre, the value at (x, y) is that at (-y, x): row x, column 5 - y.
    expected = torch.stack(
        [torch.stack([volume.image[0, :, x, 5 - y] for x in range(6)], -1) for y in range(6)], 1
    )
    assert torch.allclose(image[0], expected, atol=1e-5)
    rotated = volume.label.flip(2).transpose(1, 2)
    assert torch.equal(label, rotated.long())


@given(angles=st.tuples(angle, angle, angle))
@settings(deadline=None, max_examples=20)
def test_a_rotated_sphere_on_an_anisotropic_grid_is_a_sphere(
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
    volume = Volume("ball", (radius - 10)[None], (radius < 10).to(torch.uint8))
    draw = PatchDraw(0, (0.0, 0.0, 0.0), angles)
    image, label = sample_patch(volume, draw, (13, 37, 37), spacing)
    inside = radius < 14  # other voxels may be rotated out of the volume
    # Linear interpolation between samples 3 mm apart has an error of less than 3/4 mm.
    assert (image - volume.image)[0, inside].abs().max() < 0.75
    wrong = (label != volume.label)[inside]
    assert (radius[inside][wrong] - 10).abs().max() < math.sqrt(1 + 1 + 9) / 2 if wrong.any() else 1


def test_an_epoch_has_equally_many_patches_of_every_case_inside_the_volumes() -> None:
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
    assert min(starts) < 3  # possible starts are from 0 to 22
    assert max(starts) > 19


def test_foreground_patches_contain_a_labelled_voxel() -> None:
    label = torch.zeros(30, 30, 30, dtype=torch.uint8)
    label[29, 0, 17] = 2
    volume = Volume("case", torch.zeros(1, 30, 30, 30), label)
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


def test_foreground_patches_of_an_empty_label_have_any_position() -> None:
    volume = Volume("case", torch.zeros(1, 9, 9, 9), torch.zeros(9, 9, 9, dtype=torch.uint8))
    draws = draw_epoch(
        [volume],
        patch=(8, 8, 8),
        patches_per_case=2,
        rotation_rad=0.0,
        foreground_fraction=1.0,
        generator=torch.Generator().manual_seed(3),
    )
    assert len(draws) == 2


def test_equal_seeds_draw_equal_epochs_and_different_seeds_different_ones() -> None:
    def draw(seed: int) -> list[PatchDraw]:
        return draw_epoch(
            [a_volume(10, 10, 10)],
            patch=(8, 8, 8),
            patches_per_case=4,
            rotation_rad=0.1,
            foreground_fraction=0.3,
            generator=torch.Generator().manual_seed(seed),
        )

    assert draw(5) == draw(5)
    assert draw(5) != draw(6)


def draw_with(intensity: float) -> list[PatchDraw]:
    return draw_epoch(
        [a_volume(10, 10, 10)],
        patch=(8, 8, 8),
        patches_per_case=200,
        rotation_rad=0.1,
        foreground_fraction=0.3,
        generator=torch.Generator().manual_seed(1),
        intensity=intensity,
    )


def test_gains_and_shifts_are_within_bounds_and_do_not_change_the_positions() -> None:
    plain, shaded = draw_with(0.0), draw_with(0.25)
    assert all(draw.appearances == () for draw in plain)
    assert [replace(draw, appearances=()) for draw in shaded] == plain
    (gains, shifts) = zip(
        *((look.gain, look.shift) for draw in shaded for look in draw.appearances), strict=True
    )
    assert 0.75 <= min(gains) < 0.8
    assert 1.2 < max(gains) <= 1.25
    assert -0.25 <= min(shifts) < -0.2
    assert 0.2 < max(shifts) <= 0.25


def test_gain_and_shift_change_the_image_and_not_the_label() -> None:
    volume = a_volume(6, 6, 6)
    draw = PatchDraw(0, (1.0, 1.0, 1.0), NO_ROTATION)
    image, label = sample_patch(volume, draw, (4, 4, 4), (1.0, 1.0, 1.0))
    shaded, same_label = sample_patch(
        volume,
        replace(draw, appearances=(Appearance(gain=1.5, shift=-0.25),)),
        (4, 4, 4),
        (1.0, 1.0, 1.0),
    )
    torch.testing.assert_close(shaded, image * 1.5 - 0.25)
    assert torch.equal(label, same_label)


def test_every_channel_is_cut_like_a_single_one() -> None:
    one, other = a_volume(9, 12, 15), a_volume(9, 12, 15, seed=1)
    both = replace(one, image=torch.cat([one.image, other.image]))
    draw = PatchDraw(0, (1.3, 2.0, 0.5), (0.1, 0.2, 0.3))
    image, label = sample_patch(both, draw, (6, 8, 8), (1.0, 1.0, 2.0))
    for found, volume in zip(image, (one, other), strict=True):
        alone, _ = sample_patch(volume, draw, (6, 8, 8), (1.0, 1.0, 2.0))
        torch.testing.assert_close(found[None], alone)
    assert torch.equal(label, sample_patch(one, draw, (6, 8, 8), (1.0, 1.0, 2.0))[1])


def test_every_channel_has_a_gain_and_a_shift_of_its_own() -> None:
    volume = a_volume(9, 12, 15)
    both = replace(volume, image=torch.cat([volume.image, volume.image]))
    (draw,) = draw_epoch(
        [both],
        patch=(4, 4, 4),
        patches_per_case=1,
        rotation_rad=0.0,
        foreground_fraction=0.0,
        generator=torch.Generator().manual_seed(0),
        intensity=0.3,
    )
    first, second = draw.appearances
    assert first.gain != second.gain
    image, _ = sample_patch(both, draw, (4, 4, 4), (1.0, 1.0, 1.0))
    plain, _ = sample_patch(both, replace(draw, appearances=()), (4, 4, 4), (1.0, 1.0, 1.0))
    torch.testing.assert_close(image[1], plain[1] * second.gain + second.shift)


def test_patches_of_volumes_on_another_device_are_on_the_requested_device() -> None:
    volume = a_volume(12, 16, 11)
    draws = [
        PatchDraw(0, (3.0, 4.0, 2.0), (0.1, 0.0, 0.2)),
        PatchDraw(0, (0.0, 0.0, 0.0), NO_ROTATION),
    ]
    options: dict[str, Any] = {"patch": (4, 6, 5), "spacing_mm": (1.0, 1.0, 1.0)}
    images, labels = sample_batch([volume], draws, **options, device=torch.device("meta"))
    assert (images.device.type, images.shape) == ("meta", (2, 1, 4, 6, 5))
    assert labels.shape == (2, 4, 6, 5)
    on_cpu, _ = sample_batch([volume], draws, **options, device=torch.device("cpu"))
    assert torch.equal(on_cpu, sample_batch([volume], draws, **options)[0])
