"""The names of properties, their groups and their words."""

import numpy as np

from fedcross.infer.familiarity.properties import (
    describe_property,
    group_names,
    show_range,
    show_value,
    split_name,
)


def test_channels_and_structures_have_groups_of_their_own() -> None:
    names = ["spacing_x", "noise:0", "noise:1", "roughness_x_1:0", "volume:1", "volume:2", "doubt"]
    assert group_names(names) == [
        ("spacing_x",),
        ("noise:0", "roughness_x_1:0"),
        ("noise:1",),
        ("volume:1",),
        ("volume:2",),
        ("doubt",),
    ]


def test_a_property_is_described_with_its_axis_channel_structure_and_unit() -> None:
    def words(name: str, *channels: str) -> str:
        return describe_property(name, channels or ("image",), ("Liver", "Tumour"))

    assert words("spacing_z") == "voxel size along z"
    assert words("percentile_95:0") == "percentile 95 of the normalised intensities"
    assert words("noise:1", "T2", "ADC") == "ADC: noise"
    assert words("volume:2") == "Tumour: volume"
    assert show_value("spacing_z", float(np.log(0.8))) == "0.8 mm"
    assert show_value("volume:2", float(np.log(41.26))) == "41.3 mL"
    assert show_value("place_x:1", -0.124) == "-12 %"
    assert show_range("spacing_x", 0.0, float(np.log(1.5))) == "1 to 1.5 mm"
    assert show_range("spacing_x", 0.0, 1e-9) == "1 mm"


def test_an_unknown_property_is_shown_by_its_name() -> None:
    assert split_name("colour:0") is None
    assert group_names(["colour:0"]) == []
    assert describe_property("colour:0", ("image",), ("Liver",)) == "colour:0"
    assert show_value("colour:0", 1.5) == "1.50"
    assert describe_property("volume:9", ("image",), ("Liver",)) == "volume"
