from pathlib import Path

import pytest

from fedcross.errors import PluginError
from fedcross.model.plugin import PluginReference
from fedcross.runtime.plugins import allow_plugins
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.step.custom_check import try_custom_parts
from installed_packages import PACKAGE, example, nothing_allowed, write_package
from small_federation import small

__all__ = ["example", "nothing_allowed", "small"]  # fixtures

SOURCE = "def add():\n    return lambda image, label, generator: (image, label + 1)\n"


def with_augmentation(config: TrainingConfig, package: str, entry: str) -> TrainingConfig:
    plugin = PluginReference(package=package, entry=entry)
    section = config.augmentation.model_copy(update={"plugin": plugin})
    return config.model_copy(update={"augmentation": section})


def test_parts_that_work_pass_and_a_configuration_without_them_needs_no_package(
    small: TrainingConfig, example: str
) -> None:
    try_custom_parts(small)
    custom = with_augmentation(small, PACKAGE, "erase")
    with pytest.raises(PluginError, match="not allowed"):
        try_custom_parts(custom)
    allow_plugins(example)
    try_custom_parts(custom)


def test_an_augmentation_that_invents_labels_is_refused_before_any_case_is_read(
    small: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(
        tmp_path, "adding_labels", SOURCE, {"fedcross.augmentations": {"add": "adding_labels:add"}}
    )
    monkeypatch.syspath_prepend(tmp_path)
    allow_plugins("adding_labels")
    with pytest.raises(PluginError, match="must keep the labels from 0 to 1, got 1 to 2"):
        try_custom_parts(with_augmentation(small, "adding_labels", "add"))
