"""The configuration of several channels."""

from typing import Any

import pytest

from fedcross.errors import ConfigError
from fedcross.training.config.configuration import config_values, parse_config

SIZES = {"spacing_mm": [1.0, 1.0, 2.0], "patch_size": [32, 32, 16]}


def values(channels: Any = ("T2", "ADC"), network: Any = None, **site: Any) -> dict[str, Any]:
    where = site or {"images": ["t2", "adc"]}
    labels = {"labels": "labels"} if "images" in where else {}
    return {
        "name": "Prostate",
        "preprocessing": {**SIZES, "channels": list(channels)},
        "structures": [{"name": "Prostate", "label": 1}],
        "sites": [{"name": "north", **labels, "split": [1, 1, 1], **where}],
        **({} if network is None else {"network": network}),
    }


@pytest.mark.parametrize("network", [None, {"name": "segresnet"}, {"base_channels": 8}])
def test_the_input_channels_of_the_network_follow_the_channels(network: Any) -> None:
    config = parse_config(values(["T2", "ADC", "DWI"], network, list="cases.csv"), source="c")
    assert config.network.in_channels == 3
    assert config.preprocessing.channel_names == ("T2", "ADC", "DWI")


def test_a_configuration_without_channels_does_not_record_them() -> None:
    config = parse_config(values([], images="images"), source="c")
    recorded = config_values(config)
    assert "channels" not in recorded["preprocessing"]
    assert recorded["network"]["in_channels"] == 1
    assert recorded["sites"][0]["images"] == "images"
    assert recorded["sites"][0]["channel"] is None


def test_the_record_of_several_channels_makes_the_same_configuration() -> None:
    config = parse_config(values(), source="c")
    record = config_values(config)
    assert parse_config(record, source="c", is_record=True) == config
    assert record["preprocessing"]["channels"][1] == {"name": "ADC", "modality": ""}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (values(network={"in_channels": 1}), "network.in_channels must be 2"),
        (values(["T2"], images=["a", "b"]), "images of site north has 2 entries"),
        (values(images="t2"), r"must have one entry .* T2, ADC; for 4D images .* \[0, 1\]"),
        (values(dataset="msd", root="r", channel=0), "channel of site north names one channel"),
        (values(dataset="msd-prostate", root="r"), "channel of site north names one channel"),
        (values(dataset="msd", root="r", channel=[0, 1, 2]), "channel of site north has 3 entries"),
        (values(images=["a", "b"], channel=[0, 1]), "a list of images and channel"),
        (values(dataset="promise12", root="r"), "'promise12' of site north has one channel"),
        (values(["T2", "T2"]), "two channels have the same name"),
        (values([f"c{n}" for n in range(9)]), "preprocessing.channels must have at most 8"),
        (values(images=[]), "sites.north.images must have at least 1"),
        (values(images=["a", 3]), "sites.north.images.1"),
        (values(["a:b", "c"]), "preprocessing.channels.0.name"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(given, source="c")
