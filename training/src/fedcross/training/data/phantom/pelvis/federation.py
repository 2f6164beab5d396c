"""Write the pelvis federation together with a configuration to train on it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fedcross.training.data.phantom.files import (
    CONFIG,
    MAX_CASES,
    MAX_SEED,
    MIN_CASES,
    check_numbers,
    new_federation,
    site_sections,
    write_case,
)
from fedcross.training.data.phantom.pelvis.cases import make_pelvis_case
from fedcross.training.data.phantom.pelvis.tables import HOSPITALS

_HEAD = """\
# A synthetic federation of male pelves: {sites} sites of {cases} cases, seed {seed}.
# To train it: fedcross train {config} --out RUN
# To compare methods: fedcross compare {config} --out FOLDER
name = "Phantom prostate"
description = "Trained on synthetic pelves. Of no clinical use."
seed = {seed}

[method]
kind = "fedcross-ens"
rounds = 32
local_epochs = 3
mu = 1.0  # as fedcross plan proposes for visits of 12 steps

[network]
name = "unet"
base_channels = 8
norm = "instance"

[preprocessing]
spacing_mm = [1.25, 1.25, 3.0]
patch_size = [96, 96, 16]
modality = "MR"

[[structures]]
name = "Phantom prostate"
label = 1
color = [0.35, 0.9, 0.55]

[training]
batch_size = 4
patches_per_case = 4
foreground_fraction = 0.5
optimizer = "sgd"
learning_rate = 0.02
momentum = 0.9
validate_every = 4
"""


def write_pelvis_federation(
    folder: Path,
    *,
    sites: int = len(HOSPITALS),
    cases: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write volumes and a configuration; if this fails, no folder remains.

    Parameters
    ----------
    folder
        Folder to create; it may exist if it is empty.
    sites
        Number of sites, 1 to 4: the first ones of `HOSPITALS`.
    cases
        Number of cases per site, 3 to 10000. An eighth of them are for validation and three eighths
        for the test, at least one each.
    seed
        Seed of all random numbers, from 0; the same seed gives the same files. Every case has its
        own generator, so that adding cases or sites does not change the others.
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
            "sites": (sites, 1, len(HOSPITALS)),
            "cases": (cases, MIN_CASES, MAX_CASES),
            "seed": (seed, 0, MAX_SEED),
        }
    )
    names = list(HOSPITALS)[:sites]
    with new_federation(folder) as partial:
        for site_index, site in enumerate(names):
            for case_index in range(cases):
                rng = np.random.default_rng([seed, site_index, case_index])
                image, label = make_pelvis_case(site, rng)
                write_case(partial / site, case_index, image, label)
                if progress is not None:
                    progress(site_index * cases + case_index + 1, sites * cases)
        head = _HEAD.format(sites=sites, cases=cases, seed=seed, config=CONFIG)
        sections = site_sections(
            names, cases, validation=max(1, cases // 8), test=max(1, 3 * cases // 8)
        )
        (partial / CONFIG).write_text(head + sections, encoding="utf-8")
    return folder / CONFIG
