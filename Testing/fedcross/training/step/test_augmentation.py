import math
from typing import Any

import pytest
import torch

from fedcross.training.config.augmentation import AugmentationConfig
from fedcross.training.data.volumes import Volume
from fedcross.training.step.appearance import Appearance
from fedcross.training.step.augmentation import PatchChanges
from fedcross.training.step.patch_draw import PatchDraw, crop_volume
from fedcross.training.step.sampling import draw_epoch, sample_patch

FLAT = (1.0, 1.0, 3.0)
COUNT = 300


def change(
    spacing: tuple[float, float, float] = FLAT, flip: float = 0.5, seed: int = 0, **figures: Any
) -> list[PatchDraw]:
    settings = AugmentationConfig.model_validate(figures)
    changes = PatchChanges(settings, flip, (16, 96, 96), spacing)
    draws = [PatchDraw(0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))] * COUNT
    return changes.change(draws, torch.Generator().manual_seed(seed))


def test_thick_slices_are_rotated_in_plane_and_only_tilted_otherwise() -> None:
    angles = torch.tensor([draw.angles_rad for draw in change()]).abs().amax(0)
    assert torch.all(angles <= torch.tensor([0.08, 0.08, 0.4]))
    assert torch.all(angles > torch.tensor([0.07, 0.07, 0.36]))
    sagittal = torch.tensor([draw.angles_rad for draw in change((3.0, 1.0, 1.0))]).abs().amax(0)
    assert float(sagittal[0]) > 0.36
    assert torch.all(sagittal[1:] <= 0.08)
    cubes = torch.tensor([draw.angles_rad for draw in change((1.0, 1.0, 1.5))]).abs().amax(0)
    assert torch.all(cubes > 0.36)


def test_sizes_in_plane_share_a_factor_and_the_slices_have_their_own() -> None:
    x, y, z = torch.tensor([draw.scale for draw in change()]).abs().T
    for factor in (x, y, z):
        assert 0.8 * 0.95 <= float(factor.min()) < 0.85
        assert 1.15 < float(factor.max()) <= 1.25 * 1.05
    assert float((x / y).log().abs().max()) <= math.log(1.05 / 0.95)
    assert float(torch.corrcoef(torch.stack([x, y]))[0, 1]) > 0.9
    assert abs(float(torch.corrcoef(torch.stack([x, z]))[0, 1])) < 0.2


@pytest.mark.parametrize(("chance", "low", "high"), [(0.5, 0.4, 0.6), (0, 0, 0), (1, 1, 1)])
def test_only_left_and_right_are_exchanged(chance: float, low: float, high: float) -> None:
    scales = torch.tensor([draw.scale for draw in change(flip=chance)])
    assert low <= float((scales[:, 0] < 0).double().mean()) <= high
    assert torch.all(scales[:, 1:] > 0)


def test_displacements_are_a_tenth_through_the_slices() -> None:
    fields = [draw.elastic for draw in change(elastic_probability=1.0)]
    assert fields[0] is not None
    assert fields[0].shape == (3, 2, 5, 5)  # a point every 24 voxels, at least the borders
    largest = torch.stack([field.abs().amax((1, 2, 3)) for field in fields if field is not None])
    z, y, x = largest.amax(0).tolist()
    assert (z, y, x) == (
        pytest.approx(0.3, rel=0.02),
        pytest.approx(3, rel=0.02),
        pytest.approx(3, rel=0.02),
    )


def test_every_change_has_its_probability() -> None:
    looks = [look for draw in change() for look in draw.appearances]
    made = [
        (0.3, [look.bias is not None for look in looks]),
        (0.2, [any(look.blur_voxels) for look in looks]),
        (0.25, [min(look.resolution) < 1 for look in looks]),
        (0.3, [look.gamma != 1 for look in looks]),
        (0.3, [look.gain != 1 and look.shift != 0 for look in looks]),
        (0.2, [look.noise > 0 for look in looks]),
    ]
    for probability, cases in made:
        assert sum(cases) / COUNT == pytest.approx(probability, abs=0.08)
    assert not any(look.curve is not None or look.gin is not None for look in looks)


def test_intensities_change_within_their_bounds() -> None:
    looks = [look for draw in change() for look in draw.appearances]
    assert all(math.exp(-0.4) <= look.gamma <= math.exp(0.4) for look in looks)
    assert all(math.exp(-0.3) <= look.gain <= math.exp(0.3) for look in looks)
    assert all(abs(look.shift) <= 0.3 and look.noise <= 0.25 for look in looks)
    assert all(look.blur_voxels[0] == 0 and look.resolution[0] == 1 for look in looks)
    assert all(0.5 <= share <= 1 for look in looks for share in look.resolution)
    assert all(sigma == 0 or 0.5 <= sigma <= 1 for look in looks for sigma in look.blur_voxels)


def test_the_preset_none_changes_nothing() -> None:
    for draw in change(preset="none", flip=0.0):
        assert (draw.angles_rad, draw.scale, draw.elastic) == ((0, 0, 0), (1, 1, 1), None)
        (look,) = draw.appearances
        assert look == Appearance(is_inverted=look.is_inverted, seed=look.seed)


def test_a_curve_rises_from_0_to_1_and_gin_has_four_layers() -> None:
    for draw in change(curve_probability=1.0, gin_probability=1.0)[:20]:
        (look,) = draw.appearances
        assert look.curve is not None
        assert look.curve[0] == 0
        assert look.curve[-1] == 1
        assert torch.all(look.curve.diff() > 0)
        assert look.gin is not None
        kernels, share = look.gin
        assert [kernel.shape[:2] for kernel in kernels] == [(2, 1), (2, 2), (2, 2), (1, 2)]
        assert 0 <= share <= 1


def test_gin_mixes_no_slices_of_anisotropic_voxels() -> None:
    kernels = [
        kernel
        for spacing in (FLAT, (1.0, 1.0, 1.0))
        for draw in change(spacing, gin_probability=1.0)[:20]
        for kernel in (draw.appearances[0].gin or ((), 0))[0]
    ]
    flat, cubes = (
        {tuple(kernel.shape[2:]) for kernel in each} for each in (kernels[:80], kernels[80:])
    )
    assert flat == {(1, 1, 1), (1, 3, 3)}
    assert cubes == {(1, 1, 1), (3, 3, 3)}


def test_one_seed_gives_the_same_patches() -> None:
    volume = Volume("c", torch.randn(1, 16, 96, 96), torch.ones(16, 96, 96, dtype=torch.uint8))
    first, second = change(seed=4)[:5], change(seed=4)[:5]
    for one, other in zip(first, second, strict=True):
        images = [sample_patch(volume, draw, (16, 96, 96), FLAT)[0] for draw in (one, other)]
        assert torch.equal(*images)


def test_a_mirrored_patch_exchanges_left_and_right_of_image_and_label() -> None:
    label = torch.randint(0, 2, (4, 6, 8), dtype=torch.uint8)
    volume = Volume("c", torch.randn(1, 4, 6, 8), label)
    draw = PatchDraw(0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), scale=(-1.0, 1.0, 1.0))
    image, labels = sample_patch(volume, draw, (4, 6, 8), FLAT)
    torch.testing.assert_close(image, volume.image.flip(3), atol=1e-5, rtol=0)
    assert torch.equal(labels, label.flip(2).long())


def test_a_scale_of_two_doubles_the_size() -> None:
    x = torch.arange(17.0).expand(3, 3, 17)
    volume = Volume("c", x.contiguous()[None], torch.ones(3, 3, 17, dtype=torch.uint8))
    draw = PatchDraw(0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), scale=(2.0, 1.0, 1.0))
    image, _ = sample_patch(volume, draw, (3, 3, 17), FLAT)
    torch.testing.assert_close(image[0, 1, 1], 4 + torch.arange(17.0) / 2)


def test_a_constant_displacement_shifts_image_and_label() -> None:
    label = torch.randint(0, 3, (5, 6, 9), dtype=torch.uint8)
    volume = Volume("c", torch.randn(1, 5, 6, 9), label)
    move = torch.tensor([0.0, 1.0, -2.0])[:, None, None, None].expand(3, 2, 2, 2)
    draw = PatchDraw(0, (0.0, 1.0, 3.0), (0.0, 0.0, 0.0), elastic=move)
    image, labels = sample_patch(volume, draw, (5, 4, 5), FLAT)
    torch.testing.assert_close(image[0], volume.image[0, :, 2:6, 1:6], atol=1e-5, rtol=0)
    assert torch.equal(labels, label[:, 2:6, 1:6].long())


def test_the_crop_of_a_changed_patch_contains_all_it_needs() -> None:
    volume = Volume("c", torch.randn(1, 30, 60, 60), torch.ones(30, 60, 60, dtype=torch.uint8))
    settings = AugmentationConfig(elastic_probability=1.0)
    changes = PatchChanges(settings, 0.5, (8, 24, 24), FLAT)
    draws = [PatchDraw(0, (9.0, 20.0, 15.0), (0.0, 0.0, 0.0))] * 20
    for draw in changes.change(draws, torch.Generator().manual_seed(2)):
        cropped, moved = crop_volume(volume, draw, (8, 24, 24), FLAT)
        whole, label = sample_patch(volume, draw, (8, 24, 24), FLAT)
        part, same = sample_patch(cropped, moved, (8, 24, 24), FLAT)
        torch.testing.assert_close(part, whole, atol=1e-3, rtol=1e-3)
        assert (
            float((label != same).double().mean()) < 0.01
        )  # a position may be rounded differently


def test_centred_patches_have_the_labelled_voxel_in_the_middle_where_the_border_allows() -> None:
    label = torch.zeros(10, 40, 40, dtype=torch.uint8)
    label[2, 20, 39] = 1
    draws = draw_epoch(
        [Volume("c", torch.zeros(1, 10, 40, 40), label)],
        patch=(8, 16, 16),
        patches_per_case=5,
        rotation_rad=0.0,
        foreground_fraction=1.0,
        generator=torch.Generator().manual_seed(0),
        is_centred=True,
    )
    assert {draw.start for draw in draws} == {(0.0, 12.0, 24.0)}
