from pathlib import Path

import numpy as np

from fedcross.training.data.check.patches import draw_site_patches
from tiny_federation import tiny_config


def test_every_site_shows_patches_of_its_first_training_case(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, sites=2, extra="foreground_fraction = 1.0")
    patches = draw_site_patches(config, 5)
    assert [site.site for site in patches] == ["s0", "s1"]
    for site in patches:
        assert len(site.pictures) == 5
        for picture in site.pictures:
            assert picture.image.shape == picture.label.shape == (16, 32)  # y, x of the patch
            assert picture.aspect == 1
            assert 0 <= picture.image.min() <= picture.image.max() <= 1
            # The blob is 80 above the rest, in noise of 8.
            inside = picture.image[picture.label == 1]
            assert inside.mean() > picture.image[picture.label == 0].mean() + 0.3
    assert len({picture.image.tobytes() for picture in patches[0].pictures}) == 5


def test_a_site_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, sites=2)
    for image in (tmp_path / "s0" / "images").iterdir():
        image.write_bytes(b"no image")
    assert [site.site for site in draw_site_patches(config, 1)] == ["s1"]


def test_the_patches_are_those_of_the_preset(tmp_path: Path) -> None:
    paper = tiny_config(tmp_path, sites=1)
    strong = paper.model_copy(update={"augmentation": type(paper.augmentation)()})
    images = [draw_site_patches(each, 3)[0].pictures[0].image for each in (paper, paper, strong)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
