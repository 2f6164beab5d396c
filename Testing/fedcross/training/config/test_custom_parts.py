from typing import Any

import pytest

from fedcross.errors import CheckpointError, ConfigError
from fedcross.runtime.plugins import NOT_ALLOWED, allow_plugins
from fedcross.training.config.configuration import (
    TrainingConfig,
    config_sha256,
    config_values,
    parse_config,
)
from fedcross.training.config.custom_parts import list_custom_parts, plugin_versions
from fedcross.training.run.difference import require_same
from installed_packages import PACKAGE, example, nothing_allowed
from small_federation import small

__all__ = ["example", "nothing_allowed", "small"]  # fixtures

PLUGIN = {"package": PACKAGE, "entry": "x"}


def changed(config: TrainingConfig, **sections: Any) -> TrainingConfig:
    return parse_config({**config_values(config), **sections}, source="x", is_record=True)


def test_a_configuration_lists_its_parts_and_records_them_but_not_what_it_allows(
    small: TrainingConfig, example: str
) -> None:
    custom = changed(
        small,
        plugins=[PACKAGE],
        network={"name": "custom", "plugin": PLUGIN},
        loss={"kind": "custom", "plugin": PLUGIN},
        augmentation={"plugin": PLUGIN},
        training={"optimizer": "custom", "optimizer_plugin": PLUGIN},
    )
    assert [kind for kind, _ in list_custom_parts(custom)] == [
        "network",
        "loss",
        "augmentation",
        "optimizer",
    ]
    record = config_values(custom)
    assert "plugins" not in record
    again = parse_config(record, source="x", is_record=True)
    assert config_sha256(again) == config_sha256(custom)
    assert again.plugins == ()
    assert list_custom_parts(again) == list_custom_parts(custom)
    assert plugin_versions(custom) == {example: NOT_ALLOWED}
    allow_plugins(example)
    assert plugin_versions(custom) == {example: "1.0.0"}


def test_what_a_run_may_use_does_not_change_its_identity(small: TrainingConfig) -> None:
    assert list_custom_parts(small) == []
    assert config_sha256(changed(small, plugins=["a-package"])) == config_sha256(small)


def test_an_augmentation_of_a_package_goes_with_the_preset_paper(small: TrainingConfig) -> None:
    custom = changed(small, augmentation={"preset": "paper", "plugin": PLUGIN})
    assert config_values(custom)["augmentation"] == {
        "plugin": {**PLUGIN, "version": None, "arguments": {}}
    }
    with pytest.raises(CheckpointError, match=r"another configuration: augmentation\.plugin\.ent"):
        require_same(small, custom, "run")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"loss": {"kind": "custom"}}, 'kind = "custom" and plugin need each other'),
        ({"loss": {"plugin": PLUGIN}}, 'need each other, got kind = "dice-ce"'),
        (
            {"loss": {"kind": "custom", "plugin": PLUGIN, "class_weights": [1, 1]}},
            "class_weights has no effect",
        ),
        ({"training": {"optimizer": "custom"}}, "optimizer_plugin need each other"),
        ({"training": {"optimizer_plugin": PLUGIN}}, 'got optimizer = "sgd"'),
        (
            {
                "training": {
                    "optimizer": "custom",
                    "optimizer_plugin": PLUGIN,
                    "weight_decay": 0.1,
                }
            },
            "weight_decay has no effect",
        ),
        ({"network": {"name": "custom"}}, "network.plugin is missing"),
        (
            {"network": {"name": "custom", "plugin": {**PLUGIN, "arguments": {"a": [[[[0]]]]}}}},
            "network.plugin.arguments: arguments may hold lists in lists 3 deep",
        ),
        (
            {"network": {"name": "custom", "plugin": PLUGIN, "downsampling": [64, 1, 1]}},
            r"multiples of \[64, 1, 1\] for the network custom",
        ),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_named(
    small: TrainingConfig, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        changed(small, **sections)
