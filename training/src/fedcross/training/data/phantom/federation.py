"""Write a synthetic federation together with a configuration to train on it."""

from collections.abc import Callable
from pathlib import Path

from fedcross.training.data.phantom.files import (
    CONFIG,
    MAX_CASES,
    MAX_SEED,
    MIN_CASES,
    check_numbers,
    new_federation,
    site_sections,
)
from fedcross.training.data.phantom.styles import draw_styles
from fedcross.training.data.phantom.volumes import write_synthetic_federation

MAX_SITES, MAX_SHIFT = 1024, 3
LATIN_BLOCKS = 3  # number of visits of every member at every site

_HEAD = """\
# A synthetic federation: {sites} sites of {cases} cases, shift {shift:g}, seed {seed}.
# To train it: fedcross train {config} --out RUN
# To compare methods: fedcross compare {config} --out FOLDER
name = "Phantom organ"
description = "Trained on synthetic phantoms (shift {shift:g}). Of no clinical use."
seed = {seed}

[method]
kind = "fedcross-ens"
rounds = {rounds}  # every member visits every site {blocks} times
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
optimizer = "adamw"  # after so few steps with SGD some members predict background only
learning_rate = 0.003
validate_every = {sites}

[augmentation]
preset = "paper"
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
    """Write volumes and a configuration; if this fails, no folder remains.

    Parameters
    ----------
    folder
        Folder to create; it may exist if it is empty.
    sites
        Number of sites, 1 to 1024.
    cases
        Number of cases per site, 3 to 10000. An eighth of them are for validation and a quarter for
        the test, at least one each.
    shift
        How much the sites differ, from 0 to 3. At 0 the cases of all sites have one distribution, at 1
        the sites differ strongly, and above 1 the differences are exaggerated.
    seed
        Seed of all random numbers, from 0; the same seed gives the same files.
    progress
        Called with (cases written, cases in total) after every case.

    Returns
    -------
    Path
        The configuration.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    OutputError
        If the folder is not empty, or cannot be written.
    """
    check_numbers(
        {
            "sites": (sites, 1, MAX_SITES),
            "cases": (cases, MIN_CASES, MAX_CASES),
            "shift": (shift, 0, MAX_SHIFT),
            "seed": (seed, 0, MAX_SEED),
        }
    )
    names = [f"site-{index + 1}" for index in range(sites)]
    with new_federation(folder) as partial:
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
    return head + site_sections(names, cases, validation=validation, test=test)
