"""Training configurations in TOML: other values, keys and lines, and changed bytes."""

from pathlib import Path

from hypothesis import strategies as st

from fedcross.training.config.configuration import (
    TrainingConfig,
    config_sha256,
    config_values,
    parse_config,
)
from fedcross.training.config.file import load_config
from fuzz.kind import Input, Kind
from fuzz.mutate import Draw, change, change_lines, composite

FILE = "config.toml"
BASE = """name = "Tiny"
description = "For tests."
seed = 7
plugins = []
[method]
kind = "fedcross-ens"
rounds = 4
local_epochs = 2
schedule = "latin"
[network]
name = "unet"
base_channels = 2
norm = "group"
[preprocessing]
spacing_mm = [2.0, 2.0, 2.5]
patch_size = [32, 16, 16]
overlap = 0.25
intensity = "zscore"
modality = "MR"
[[structures]]
name = "Blob"
label = 1
color = [0.35, 0.9, 0.55]
[[structures]]
name = "Lesion"
label = 2
[training]
batch_size = 2
patches_per_case = 2
learning_rate = 0.02
momentum = 0.9
validate_every = 4
keep = "best"
[augmentation]
preset = "paper"
[loss]
kind = "dice-ce"
[[sites]]
name = "north"
images = "north/images"
labels = "north/labels"
split = [5, 1, 2]
exclude = ["case-1*"]
[[sites]]
name = "south"
list = "south.csv"
label_map = { 4 = 1, 5 = 2 }
"""
_VALUES = (
    *("0", "-1", "1", "3", "1e300", "-0.0", "nan", "inf", "99999999999999999999", "0x7f", "true"),
    *(
        '""',
        '" "',
        '"a"',
        '"' + "a" * 5000 + '"',
        '"../../x"',
        '"\\u001b[2J"',
        '"\\u202e"',
        '"[b]"',
    ),
    *(
        "[]",
        "[0]",
        "[1, 2, 3]",
        '["a", 1]',
        "[" * 2000 + "]" * 2000,
        "[" * 200 + "]" * 200,
        "[" + "1," * 1000 + "]",
        "{}",
    ),
    *("{ a = 1 }", "2026-01-01", "12:00:00", '"(a+)+$"', '"["', "'''x", '"strong"', '"fedavg"'),
    *('"dynunet"', '"segresnet"', "[1e-300, 1e300, 1]", "[1, 2]", '"C:\\\\x"', '"\\u0000"'),
    *(
        '"=1+1"',
        "9223372036854775807",
        "9" * 5000,
        "1" + "_1" * 100,
        '"north"',
        "{ 1 = 1, 01 = 1 }",
    ),
    "{" + ", ".join(f"a{n} = {n}" for n in range(300)) + "}",
)


def _input(data: bytes) -> Input:
    return Input({FILE: data}, FILE)


def _changed(draw: Draw) -> Input:
    kind = draw(
        st.sampled_from(("lines", "lines", "lines", "lines", "bytes", "section", "encoding"))
    )
    if kind == "bytes":
        return _input(change(draw, BASE.encode()))
    if kind == "encoding":
        return _input(
            BASE.encode(draw(st.sampled_from(("utf-16", "utf-8-sig", "cp500", "utf-32"))))
        )
    if kind == "section":
        start, key = draw(st.sampled_from(("[", "[["))), draw(st.text("abt.\"'", max_size=12))
        text = f"{BASE}\n{start}{key}{start.replace('[', ']')}\n"
    else:
        text = change_lines(draw, BASE, _VALUES)
    return _input(text.encode("utf-8", errors="surrogatepass"))


def _verify(config: TrainingConfig, one: Input, path: Path) -> None:
    """The record of the configuration must be the configuration again."""
    again = parse_config(config_values(config), source="record", is_record=True)
    assert config_sha256(again) == config_sha256(config)
    assert len({site.name for site in config.sites}) == len(config.sites)
    assert all(0 < structure.label < 256 for structure in config.structures)
    assert min(config.preprocessing.spacing_mm) > 0


KINDS = (
    Kind(
        "configuration",
        lambda: [_input(BASE.encode())],
        composite(_changed),
        load_config,
        _verify,
    ),
)
