import math

import pytest
import torch

from fedcross.errors import ConfigError
from fedcross.training.config.augmentation import AugmentationConfig, note_unused
from fedcross.training.config.configuration import (
    TrainingConfig,
    config_sha256,
    config_values,
    parse_config,
)
from fedcross.training.data.volumes import Volume
from fedcross.training.step.local_training import draw_patches


def a_config(
    is_record: bool = False, structure: str = "Blob", **sections: object
) -> TrainingConfig:
    return parse_config(
        {
            "name": "Some",
            "preprocessing": {"spacing_mm": [1, 1, 3], "patch_size": [32, 32, 32]},
            "structures": [{"name": structure, "label": 1}],
            "sites": [{"name": n, "images": "i", "labels": "l", "split": [1, 0, 0]} for n in "ab"],
            **sections,
        },
        source="test",
        is_record=is_record,
    )


def test_the_default_is_strong_with_centred_patches_and_a_limited_gradient() -> None:
    config = a_config()
    assert config.augmentation.preset == "strong"
    assert config.training.foreground_fraction == 0.5
    assert config.training.max_gradient_norm == 12
    assert config.training.keep == "last"


def test_the_strong_preset_keeps_the_values_of_the_file() -> None:
    config = a_config(training={"foreground_fraction": 0.25, "max_gradient_norm": 3})
    assert config.training.foreground_fraction == 0.25
    assert config.training.max_gradient_norm == 3


def test_the_paper_preset_has_random_positions_and_no_limit_of_the_gradient() -> None:
    config = a_config(augmentation={"preset": "paper"})
    assert config.training.foreground_fraction == 0
    assert config.training.max_gradient_norm is None


def test_a_record_without_augmentation_means_what_earlier_versions_did() -> None:
    config = a_config(is_record=True)
    assert config.augmentation.preset == "paper"
    assert config.training.keep == "best"
    assert config.training.max_gradient_norm is None


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"augmentation": {"preset": "paper"}},
        {"augmentation": {"preset": "paper"}, "training": {"keep": "best"}},
        {"augmentation": {"preset": "none", "noise_probability": 1.0}},
    ],
)
def test_the_record_of_a_configuration_is_that_configuration(sections: dict[str, object]) -> None:
    config = a_config(**sections)
    record = config_values(config)
    again = parse_config(record, source="record", is_record=True)
    assert again == config
    assert config_sha256(again) == config_sha256(config)


def test_the_record_of_an_earlier_recipe_has_no_later_options() -> None:
    record = config_values(a_config(augmentation={"preset": "paper"}, training={"keep": "best"}))
    assert "augmentation" not in record
    assert not {"keep", "max_gradient_norm"} & record["training"].keys()


def test_none_changes_nothing_but_what_is_set() -> None:
    figures = AugmentationConfig.model_validate({"preset": "none", "gamma_probability": 0.5})
    assert figures.gamma_probability == 0.5
    assert (figures.rotation_rad, figures.scale, figures.noise_probability) == (0, 1, 0)


def test_a_figure_beside_the_preset_paper_is_refused() -> None:
    with pytest.raises(ConfigError, match="augmentation: scale has no effect with preset"):
        a_config(augmentation={"preset": "paper", "scale": 1.5})


@pytest.mark.parametrize(
    ("name", "chance"),
    [
        ("Left hippocampus", 0),
        ("Kidney-right", 0),
        ("kidney_left", 0),
        ("Parotid_L", 0),
        ("LungRight", 0),
        ("Eye (R)", 0),
        ("rein gauche", 0),
        ("Bright organ", 0.5),
        ("vertebrae_L1", 0.5),
    ],
)
def test_structures_with_sides_are_not_mirrored(name: str, chance: float) -> None:
    assert AugmentationConfig().flip_chance([name, "Prostate"]) == chance
    assert AugmentationConfig(flip_probability=0.2).flip_chance([name]) == 0.2


@pytest.mark.parametrize(("meaning", "sides"), [("Kidney", {1, -1}), ("Left kidney", {1})])
def test_a_structure_whose_type_has_a_side_is_not_mirrored(meaning: str, sides: set[int]) -> None:
    config = a_config(
        structures=[{"name": "A", "label": 1, "type": {"value": "1", "meaning": meaning}}]
    )
    label = torch.ones(4, 4, 4, dtype=torch.uint8)
    cases = [Volume(str(index), torch.ones(1, 4, 4, 4), label) for index in range(20)]
    draws = draw_patches(cases, config, torch.Generator().manual_seed(0))
    assert {int(math.copysign(1, draw.scale[0])) for draw in draws} == sides


def test_options_that_the_preset_does_not_use_are_named() -> None:
    training = {"rotation_rad": 0.2, "noise": 0.1}
    strong = a_config(training=training)
    assert note_unused(strong.augmentation, strong.training) == (
        "Not used, because the augmentation preset is strong and not paper: "
        "rotation_rad = 0.2, noise = 0.1 in [training]."
    )
    paper = a_config(training=training, augmentation={"preset": "paper"})
    assert note_unused(paper.augmentation, paper.training) == ""
    assert note_unused(a_config().augmentation, a_config().training) == ""
