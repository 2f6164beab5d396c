"""The figures of a run and of its bundle, for `budgets.py`."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from machine_facts import record_facts

from fedcross.study.compare.results import mean_of, read_run
from fedcross.study.evaluate.evaluate import evaluate
from fedcross.study.evaluate.evaluation import Evaluation
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder

ENSEMBLE, MEMBER, BAND, AGREEMENT = "ensemble", "mean of the members", "band", "agreement"
VERSIONS = ("torch", "monai", "numpy")


def measure_bundle(
    bundle: Path,
    config: TrainingConfig,
    out: Path,
    *,
    parts: Sequence[str],
    sites: Sequence[str] | None = None,
) -> dict[str, object]:
    """Evaluate a bundle; return accuracy and the figures of its uncertainty.

    Parameters
    ----------
    bundle
        Bundle folder.
    config
        Configuration with the sites and their splits.
    out
        Folder of the evaluation.
    parts, sites
        See `fedcross.evaluate`.
    """
    found = evaluate(bundle, config, out, parts=parts, sites=sites)
    structures = list(found.structures.values())
    dices = {
        name: [s.predictors[name].dice for s in structures if name in s.predictors]
        for name in (ENSEMBLE, MEMBER)
    }
    site_names = list(structures[0].sites)
    band = found.voxels[BAND]
    return {
        "members": found.members,
        "cases": len(found.cases),
        "dice": fmean(dices[ENSEMBLE]),
        "member_dice": _mean(dices[MEMBER]),
        "site_dice": {n: fmean(s.sites[n].dice for s in structures) for n in site_names},
        "auroc": band.auroc,
        "average_precision": band.average_precision,
        "ece": _mean(s.calibration[BAND].ece for s in structures),
        "brier": _mean(s.calibration[BAND].brier for s in structures),
        **_ranking(found),
        "in_range": [
            sum(s.in_range.count for s in structures),
            sum(s.in_range.cases for s in structures),
        ],
        "found_share": None if found.review is None else found.review.found_share,
        **record_facts(VERSIONS),
    }


def measure_run(run: RunFolder, seed: int) -> dict[str, object]:
    """Return the cost of a run, and the Dice of each site's own model of a personal method."""
    figures = read_run(run, "method", seed)
    own = mean_of(figures.scores["method"], "dice")
    is_personal = run.configuration().method.is_personal
    return {
        "own_dice": own if is_personal else None,
        "seconds": figures.cost.seconds,
        "patches": figures.cost.patches,
    }


def _ranking(found: Evaluation) -> dict[str, float | None]:
    """How well the members' agreement ranks the cases; None with a single member."""
    rankings = [s.rankings[AGREEMENT] for s in found.structures.values() if AGREEMENT in s.rankings]
    return {
        "excess_aurc": _mean(each.excess_aurc for each in rankings),
        "spearman": _mean(each.spearman for each in rankings),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def read_records(folder: Path) -> list[dict[str, object]]:
    """Read the figures of all finished runs in a folder."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
