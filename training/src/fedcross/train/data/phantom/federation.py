"""A synthetic federation with a configuration that trains it: one command, no download."""

from collections.abc import Callable
from pathlib import Path

from fedcross.errors import ConfigError, OutputError
from fedcross.runtime.atomic import atomic_folder
from fedcross.train.data.phantom.styles import draw_styles
from fedcross.train.data.phantom.volumes import write_synthetic_federation

CONFIG = "phantom.toml"
MIN_CASES, MAX_SHIFT = 3, 3
LATIN_BLOCKS = 3  # so often every member meets every site

_HEAD = """\
# A synthetic federation: {sites} sites of {cases} cases, shift {shift:g}, seed {seed}.
# To train it: fedcross train {config} --out RUN
# To compare methods: fedcross compare {config} --out FOLDER
name = "Phantom organ"
description = "Trained on synthetic phantoms (shift {shift:g}). Of no clinical use."
seed = {seed}

[method]
kind = "fedcross-ens"
rounds = {rounds}  # every member meets every site {blocks} times
local_epochs = 2

[network]
name = "unet"
base_channels = 8
norm = "instance"

[preprocessing]
spacing_mm = [2.25, 2.25, 2.25]
patch_size = [48, 48, 32]
modality = "MR"

[[structures]]
name = "Phantom organ"
label = 1
color = [0.35, 0.9, 0.55]

[training]
batch_size = 2
patches_per_case = 2
optimizer = "adamw"  # with so few steps SGD leaves some members where all is background
learning_rate = 0.003
validate_every = {sites}
"""
_SITE = """
[[sites]]
name = "{site}"
images = "{site}/images"
labels = "{site}/labels"
split = [{train}, {validation}, {test}]
"""


def write_phantom_federation(
    folder: Path,
    *,
    sites: int,
    cases: int,
    shift: float,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write volumes and a configuration; the folder appears whole or not at all.

    Parameters
    ----------
    folder
        To make, or an empty one.
    sites, cases
        How many sites, and cases of each: an eighth validate, a quarter test, at least one each.
    shift
        From 0, where the cases of all sites are drawn alike, to 1, where they differ strongly; above
        that exaggerated.
    seed
        Decides everything.
    progress
        Called with (cases written, cases in all).

    Returns
    -------
    Path
        The configuration.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    OutputError
        If something is in the folder already, or it cannot be written.
    """
    for name, value, low, high in (
        ("sites", sites, 1, 1024),
        ("cases", cases, MIN_CASES, 10_000),
        ("shift", shift, 0, MAX_SHIFT),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if not low <= value <= high:
            raise ConfigError(f"{name} must be from {low} to {high}, got {value}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            f"{folder.name} is there already and not empty.", "Choose another folder."
        )
    names = [f"site-{index + 1}" for index in range(sites)]
    with atomic_folder(folder) as partial:
        write_synthetic_federation(
            partial,
            cases_per_site=cases,
            seed=seed,
            shift=shift,
            styles=draw_styles(names, seed),
            progress=progress,
        )
        text = _configuration(names, cases, shift, seed)
        (partial / CONFIG).write_text(text, encoding="utf-8")
    return folder / CONFIG


def _configuration(names: list[str], cases: int, shift: float, seed: int) -> str:
    validation, test = max(1, cases // 8), max(1, cases // 4)
    head = _HEAD.format(
        sites=len(names),
        cases=cases,
        shift=shift,
        seed=seed,
        config=CONFIG,
        rounds=LATIN_BLOCKS * len(names),
        blocks=LATIN_BLOCKS,
    )
    return head + "".join(
        _SITE.format(
            site=name,
            train=cases - validation - test,
            validation=validation,
            test=test,
        )
        for name in names
    )
