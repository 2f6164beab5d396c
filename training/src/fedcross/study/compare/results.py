"""What finished runs say about their methods: scores and costs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from fedcross.strategies.method import Method
from fedcross.train.run.folder import METRICS, TEST, RunFolder

METRIC_NAMES = ("dice", "hd95_mm", "assd_mm")
AS_ENSEMBLE, ALONE = ", as an ensemble", ", one member alone"


@dataclass(frozen=True)
class Score:
    """How well one structure of one test case was segmented.

    Attributes
    ----------
    site, case, structure
        Which.
    dice, hd95_mm, assd_mm
        See `fedcross.train.evaluation.surface`; for ``one member alone`` the means over the members.
    """

    site: str
    case: str
    structure: str
    dice: float
    hd95_mm: float
    assd_mm: float


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Attributes
    ----------
    rounds
        Of communication.
    epochs
        Local epochs, each over one site's training cases, of all members together; an epoch over the
        pooled cases of K sites counts K.
    patches
        Trained, of all members together.
    wire_bytes
        Tensors of members, there and back again, of all visits; 0 where no member leaves its site.
    seconds
        Of the visits, one after another.
    """

    rounds: int
    epochs: int
    patches: int
    wire_bytes: int
    seconds: float


@dataclass(frozen=True)
class RunFigures:
    """A finished run.

    Attributes
    ----------
    seed
        Of the run.
    scores
        By what predicts: the method's name alone stands for what the method is judged by.
    curve
        Pairs (share of the rounds done, validation Dice).
    reliability
        Counts of `fedcross.uncertainty.reliability`, site by site; empty for a single model.
    cost
        What it took.
    """

    seed: int
    scores: dict[str, list[Score]]
    curve: list[tuple[float, float]]
    reliability: list[Mapping[str, Any]]
    cost: Cost


def read_run(run: RunFolder, label: str, seed: int) -> RunFigures:
    """Read a finished run; `label` names its method.

    Raises
    ------
    CheckpointError
        If it is not finished or damaged.
    """
    config, test = run.configuration(), run.read(TEST)
    text = (run.path / METRICS).read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    visits = [line for line in lines if "samples" in line]
    rounds, sites = config.method.rounds, [site.name for site in config.sites]
    per_visit = len(sites) if config.method.pools_cases else 1
    return RunFigures(
        seed=seed,
        scores=_scores(label, config.method, test["sites"], sites),
        curve=[
            (line["round"] / rounds, line["validation"]["mean"])
            for line in lines
            if "validation" in line
        ],
        reliability=[
            figures["reliability"] for figures in test["sites"].values() if figures["reliability"]
        ],
        cost=Cost(
            rounds=rounds,
            epochs=len(visits) * per_visit * config.method.local_epochs,
            patches=sum(line["samples"] for line in visits),
            wire_bytes=sum(line["bytes"] for line in visits),
            seconds=sum(line["seconds"] for line in visits),
        ),
    )


def _scores(
    label: str, method: Method, test: Mapping[str, Any], sites: Sequence[str]
) -> dict[str, list[Score]]:
    """Scores of everything that a method's models can predict with, what it is judged by first."""
    members = max((len(site["members"]) for site in test.values()), default=1)
    if method.is_personal:
        own = _collected(test, lambda site: [sites.index(site)])
        return {label: own, label + AS_ENSEMBLE: _collected(test, lambda site: None)}
    scores = {label: _collected(test, lambda site: None)}
    if members > 1:
        scores[label + ALONE] = _collected(test, lambda site: list(range(members)))
    return scores


def _collected(test: Mapping[str, Any], chosen: Any) -> list[Score]:
    """Scores of all cases: means over the members `chosen` at a site, or of the ensemble if None."""
    scores = []
    for site, figures in test.items():
        members = chosen(site)
        for case, told in figures["cases"].items():
            for structure in told["ensemble"]:
                each = [
                    (dices[structure], *surfaces[structure].values())
                    for dices, surfaces in _predictions(told, members)
                ]
                means = [fmean(values) for values in zip(*each, strict=True)]
                scores.append(Score(site, case, structure, *means))
    return scores


def _predictions(told: Mapping[str, Any], members: Sequence[int] | None) -> list[tuple[Any, Any]]:
    if members is None:
        return [(told["ensemble"], told["surface"]["ensemble"])]
    return [(told["members"][k], told["surface"]["members"][k]) for k in members]


def mean_of(scores: Iterable[Score], metric: str, site: str | None = None) -> float:
    """Mean of a metric over cases and structures, of all sites or one of them."""
    return fmean(getattr(score, metric) for score in scores if site in (None, score.site))


def by_case(runs: Iterable[Sequence[Score]], metric: str) -> dict[tuple[str, str], float]:
    """(site, case) -> mean of a metric over the runs (seeds) and the structures."""
    values: dict[tuple[str, str], list[float]] = {}
    for scores in runs:
        for score in scores:
            values.setdefault((score.site, score.case), []).append(getattr(score, metric))
    return {case: fmean(each) for case, each in values.items()}
