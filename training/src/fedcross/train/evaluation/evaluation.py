"""How good an ensemble is: Dice on validation cases between rounds, and at the end on test cases.

Validation compares on the model's grid, where the cases are in memory; the test on the image's own
grid, as a user of the bundle would see it, with distances between surfaces and with how well the
members' spread marks what is wrong.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedcross.ensemble.run import blend, label_map
from fedcross.model.memory_format import choose_memory_format
from fedcross.model.networks import build_network
from fedcross.runtime.device import resolve_precision
from fedcross.strategies.member import MemberState
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.data.reading import read_case
from fedcross.train.data.volumes import CaseFiles, Site, Volume
from fedcross.train.evaluation.surface import surface_by_structure
from fedcross.uncertainty.agreement import dice
from fedcross.uncertainty.reliability import Reliability
from fedcross.uncertainty.statistics import EnsembleStatistics
from fedcross.volumes.prepare import prepare, resample_to_source
from fedcross.volumes.structure import Structure

Dices = dict[str, float]
Array = NDArray[np.float32]
Show = Callable[[str, Volume, list[Array]], None]


@dataclass(frozen=True)
class Validation:
    """Dice on the validation cases: the ensemble's, or where models are personal each site's own.

    Attributes
    ----------
    mean_dice
        Over all cases of all sites and all structures.
    by_site
        Site -> mean over its cases and the structures; a site without cases is absent.
    """

    mean_dice: float
    by_site: dict[str, float]


def validate(
    members: Sequence[MemberState],
    sites: Sequence[Site],
    config: TrainingConfig,
    device: torch.device,
    show: Show | None = None,
) -> Validation | None:
    """Validate what predicts at each site; None when no site has validation cases.

    That is the mean of the members' probabilities, or member k alone at site k where the method makes
    personal models. `show` gets every case with what each member says about it.
    """
    if not any(site.validation for site in sites):
        return None
    networks = [loaded(member, config, device) for member in members]
    by_site: dict[str, list[float]] = {}
    for index, site in enumerate(sites):
        here = [networks[index]] if config.method.is_personal else networks
        for volume in site.validation:
            mean, each = _probabilities(here, volume.image.numpy(), config, device)
            if show is not None:
                show(site.name, volume, each)
            found = mean.argmax(axis=0).astype(np.uint8)
            judged = drawn(config.structures, volume.missing)
            scores = dice_by_structure(found, volume.label.numpy(), judged)
            by_site.setdefault(site.name, []).append(fmean(scores.values()))
    everything = [score for scores in by_site.values() for score in scores]
    return Validation(fmean(everything), {name: fmean(scores) for name, scores in by_site.items()})


def evaluate_test(
    members: Sequence[MemberState],
    sites: Sequence[Site],
    config: TrainingConfig,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Evaluate ensemble and members on the test cases, on each image's own grid.

    Returns
    -------
    dict
        ``{"mean": {"ensemble": d, "members": [d, ...]}, "sites": {site: figures}}`` where figures
        are ``{"ensemble": {structure: d}, "members": [{structure: d}, ...], "reliability": counts,
        "cases": {case: figures}}``; a site's Dices d are means over its cases, the overall ones over
        all cases and structures (None when there are no test cases). A structure that is neither
        there nor found counts 1; one that nobody draws at a site is not judged there.

        A case also has ``"surface": {"ensemble": {structure: {"hd95_mm": h, "assd_mm": a}},
        "members": [the same, ...]}``, see `surface`; the counts of `reliability` are over a site's
        cases, and None for a single member.
    """
    networks = [loaded(member, config, device) for member in members]
    total = sum(len(site.test) for site in sites)
    done = 0
    by_site: dict[str, Any] = {}
    for site in sites:
        cases, counts = {}, Reliability()
        for case in site.test:
            cases[case.name] = _test_case(case, site, networks, config, device, counts)
            done += 1
            if progress is not None:
                progress(done, total)
        if cases:
            means = _mean_figures(list(cases.values()))
            reliability = counts.record() if len(networks) > 1 else None
            by_site[site.name] = {**means, "reliability": reliability, "cases": cases}
    everything = [figures for site in by_site.values() for figures in site["cases"].values()]
    return {"mean": _overall(everything), "sites": by_site}


def loaded(member: MemberState, config: TrainingConfig, device: torch.device) -> nn.Module:
    """A member's network on `device`, in evaluation mode."""
    with torch.device("meta"):
        network = build_network(config.network)
    network.load_state_dict(dict(member.weights), assign=True)
    network = network.eval().requires_grad_(False).to(device)
    # PyTorch's own types lack this overload.
    return network.to(memory_format=choose_memory_format(network, device))  # type: ignore[call-overload, no-any-return]


def drawn(structures: Sequence[Structure], missing: Collection[int]) -> list[Structure]:
    """The structures that can be judged where those with the labels `missing` were not drawn."""
    return [structure for structure in structures if structure.label not in missing]


def dice_by_structure(
    found: NDArray[np.uint8], truth: NDArray[np.uint8], structures: Sequence[Structure]
) -> Dices:
    """Dice of two label maps of the same shape, by the structure's name."""
    return {s.name: dice(found == s.label, truth == s.label) for s in structures}


def _probabilities(
    networks: Sequence[nn.Module], volume: Array, config: TrainingConfig, device: torch.device
) -> tuple[Array, list[Array]]:
    """Blended probabilities (C, D, H, W): the members' mean, and each member's."""
    precision = resolve_precision(config.training.precision, device)
    each = [
        blend(
            network,
            volume,
            patch_size=config.preprocessing.patch_size,
            overlap=config.preprocessing.overlap,
            classes=config.network.classes,
            device=device,
            precision=precision,
        )
        for network in networks
    ]
    return np.mean(each, axis=0), each


def _test_case(
    case: CaseFiles,
    site: Site,
    networks: Sequence[nn.Module],
    config: TrainingConfig,
    device: torch.device,
    counts: Reliability,
) -> dict[str, Any]:
    """Figures of one case; its voxels are added to `counts`."""
    image, truth = read_case(case, site.label_map, site.name)
    prepared = prepare(image, config.preprocessing)
    mean, each = _probabilities(networks, prepared.array, config, device)
    found = [label_map(probabilities, prepared) for probabilities in (mean, *each)]
    statistics = EnsembleStatistics(mean.shape, ["std"])
    for probabilities in each:
        statistics.update(probabilities)
    told = np.where(np.isin(found[0], site.missing), 0, found[0])  # as nobody knows better
    counts.add(resample_to_source(statistics.std(), prepared), told != truth)
    structures, spacing = drawn(config.structures, site.missing), image.GetSpacing()
    dices = [dice_by_structure(labels, truth, structures) for labels in found]
    surfaces = [
        {name: asdict(distances) for name, distances in by_structure.items()}
        for by_structure in (
            surface_by_structure(labels, truth, structures, spacing) for labels in found
        )
    ]
    return {**_first_and_rest(dices), "surface": _first_and_rest(surfaces)}


def _first_and_rest(figures: Sequence[Any]) -> dict[str, Any]:
    return {"ensemble": figures[0], "members": list(figures[1:])}


def _mean_figures(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    count = len(cases[0]["members"])
    return {
        "ensemble": _mean_dices([case["ensemble"] for case in cases]),
        "members": [_mean_dices([case["members"][k] for case in cases]) for k in range(count)],
    }


def _mean_dices(dices: Sequence[Dices]) -> Dices:
    return {name: fmean(each[name] for each in dices) for name in dices[0]}


def _overall(cases: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not cases:
        return None
    count = len(cases[0]["members"])
    return {
        "ensemble": fmean(d for case in cases for d in case["ensemble"].values()),
        "members": [
            fmean(d for case in cases for d in case["members"][k].values()) for k in range(count)
        ],
    }
