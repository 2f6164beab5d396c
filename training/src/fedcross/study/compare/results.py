"""The scores and costs of finished runs."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from fedcross.contract.parse import parse_json
from fedcross.errors import CheckpointError
from fedcross.strategies.method import Method
from fedcross.training.run.folder import METRICS, TEST, RunFolder

METRIC_NAMES = ("dice", "hd95_mm", "assd_mm")
AS_ENSEMBLE, ALONE = ", as an ensemble", ", one member alone"


@dataclass(frozen=True)
class Score:
    """Accuracy of the segmentation of one structure of one test case.

    Attributes
    ----------
    site, case, structure
        Names of the site, the case and the structure.
    dice
        Dice coefficient, 0 to 1.
    hd95_mm, assd_mm
        Distances of the surfaces in mm, see `fedcross.training.evaluation.surface`.

    For ``one member alone`` each value is the mean over the members.
    """

    site: str
    case: str
    structure: str
    dice: float
    hd95_mm: float
    assd_mm: float


@dataclass(frozen=True)
class Cost:
    """Cost of a run.

    Attributes
    ----------
    rounds
        Number of communication rounds.
    epochs
        Number of local epochs, summed over the members. Each goes through the training cases of one
        site; an epoch over the pooled cases of K sites counts K times.
    patches
        Number of trained patches, summed over the members.
    wire_bytes
        Bytes of the members that were sent to the sites and back; 0 if no member leaves its site.
    seconds
        Sum of the durations of the visits in seconds.
    """

    rounds: int
    epochs: int
    patches: int
    wire_bytes: int
    seconds: float


@dataclass(frozen=True)
class RunFigures:
    """Figures of a finished run.

    Attributes
    ----------
    seed
        Seed of the run.
    scores
        Scores of each way to predict, by its label. The label of the method alone is the way by which
        methods are compared.
    curve
        Pairs of the share of finished rounds, 0 to 1, and the validation Dice.
    reliability
        Counts of `fedcross.uncertainty.reliability`, one entry per site; empty for a single model.
    cost
        Cost of the run.
    """

    seed: int
    scores: dict[str, list[Score]]
    curve: list[tuple[float, float]]
    reliability: list[Mapping[str, Any]]
    cost: Cost


def read_run(run: RunFolder, label: str, seed: int) -> RunFigures:
    """Read a finished run.

    Parameters
    ----------
    run
        Run folder.
    label
        Label of the method.
    seed
        Seed of the run.

    Raises
    ------
    CheckpointError
        If the run is not finished or is damaged.
    """
    config, test = run.configuration(), run.read(TEST)
    try:
        text = (run.path / METRICS).read_text(encoding="utf-8")
        lines = [parse_json(line) for line in text.splitlines()]
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{METRICS} of the run {run.path.name} is damaged.") from error
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
            rounds=max((line["round"] for line in lines), default=rounds),
            epochs=len(visits) * per_visit * config.method.local_epochs,
            patches=sum(line["samples"] for line in visits),
            wire_bytes=sum(line["bytes"] for line in visits),
            seconds=sum(line["seconds"] for line in visits),
        ),
    )


def _scores(
    label: str, method: Method, test: Mapping[str, Any], sites: Sequence[str]
) -> dict[str, list[Score]]:
    """Return the scores of each way to predict; the first is that by which methods are compared."""
    members = max((len(site["members"]) for site in test.values()), default=1)
    if method.is_personal:
        own = _collect_scores(test, lambda site: [sites.index(site)])
        return {label: own, label + AS_ENSEMBLE: _collect_scores(test, lambda site: None)}
    scores = {label: _collect_scores(test, lambda site: None)}
    if members > 1:
        scores[label + ALONE] = _collect_scores(test, lambda site: list(range(members)))
    return scores


def _collect_scores(
    test: Mapping[str, Any], members_at: Callable[[str], Sequence[int] | None]
) -> list[Score]:
    """Return the scores of all cases: means over the members at a site, or of the ensemble if None."""
    scores = []
    for site, figures in test.items():
        members = members_at(site)
        for case, recorded in figures["cases"].items():
            for structure in recorded["ensemble"]:
                each = [
                    (dices[structure], *surfaces[structure].values())
                    for dices, surfaces in _predictions(recorded, members)
                ]
                means = [fmean(values) for values in zip(*each, strict=True)]
                scores.append(Score(site, case, structure, *means))
    return scores


def _predictions(
    recorded: Mapping[str, Any], members: Sequence[int] | None
) -> list[tuple[Any, Any]]:
    surface = recorded["surface"]
    if members is None:
        return [(recorded["ensemble"], surface["ensemble"])]
    return [(recorded["members"][k], surface["members"][k]) for k in members]


def mean_of(scores: Iterable[Score], metric: str, site: str | None = None) -> float:
    """Return the mean of a metric over cases and structures; of one site, or of all if None."""
    return fmean(getattr(score, metric) for score in scores if site in (None, score.site))


def rank_by_dice(scores: Mapping[str, Sequence[Sequence[Score]]]) -> dict[str, float]:
    """Return the mean Dice by label, the highest first; empty if a run has no test cases.

    Parameters
    ----------
    scores
        The scores of each run, one entry per seed, by label.
    """
    if not all(each for runs in scores.values() for each in runs):
        return {}
    means = {label: fmean(mean_of(each, "dice") for each in runs) for label, runs in scores.items()}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def by_case(runs: Iterable[Sequence[Score]], metric: str) -> dict[tuple[str, str], float]:
    """Return the mean of a metric over runs and structures, by (site, case)."""
    values: dict[tuple[str, str], list[float]] = {}
    for scores in runs:
        for score in scores:
            values.setdefault((score.site, score.case), []).append(getattr(score, metric))
    return {case: fmean(each) for case, each in values.items()}


def choose_reference(runs: Collection[str]) -> str:
    """Return the label of the method that the others are tested against."""
    for label in ("FedCrossEns", "FedCross"):
        if label in runs:
            return label
    return next(iter(runs))
