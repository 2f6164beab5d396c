"""Validation and test where the data is: the sites judge, the server sees figures only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.site_work import TEST, VALIDATE
from fedcross.federate.remote.visits import SendTask, SiteError
from fedcross.strategies.method import Members
from fedcross.train.config.configuration import TrainingConfig
from fedcross.train.config.site import ExplicitSplit, SiteConfig
from fedcross.train.evaluation.validation import Validation


def validate_remotely(
    predictors: Members, config: TrainingConfig, send_task: SendTask, tell: Callable[[str], None]
) -> Validation | None:
    """Let every site judge what predicts there, by its own validation cases; None if none tells.

    The mean is over all cases where every site tells how many it has, else over the sites.
    """
    dices, counts = {}, []
    for name, answer in _ask_all(VALIDATE, predictors, config, send_task, tell):
        if answer["dice"] is not None:
            dices[name] = float(answer["dice"])
            counts.append(answer["cases"])
    if not dices:
        return None
    return Validation(_mean(list(dices.values()), counts), dices)


def test_remotely(
    predictors: Members, config: TrainingConfig, send_task: SendTask, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Let every site judge what predicts by its test cases; as `evaluate_test`, without cases."""
    sites, counts = {}, []
    for name, answer in _ask_all(TEST, predictors, config, send_task, tell):
        if answer["figures"] is not None:
            sites[name] = {**answer["figures"], "reliability": None, "cases": {}}
            counts.append(answer["cases"])
    if not sites:
        return {"mean": None, "sites": {}}
    ensemble = [fmean(figures["ensemble"].values()) for figures in sites.values()]
    members = [
        [fmean(figures["members"][k].values()) for figures in sites.values()]
        for k in range(len(predictors))
    ]
    mean = {"ensemble": _mean(ensemble, counts), "members": [_mean(m, counts) for m in members]}
    return {"mean": mean, "sites": sites}


def _ask_all(
    task: str,
    predictors: Members,
    config: TrainingConfig,
    send_task: SendTask,
    tell: Callable[[str], None],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The answers about what predicts of all sites with cases; those that fail are told, left out."""
    light = [replace(member, optimizer={}) for member in predictors]
    personal = config.method.is_personal and task == VALIDATE
    places = [place for place, site in enumerate(config.sites) if may_have_cases(site, task)]

    def one(place: int) -> Mapping[str, Any] | None:
        try:
            return send_task(
                config.sites[place].name, task, light[place : place + 1] if personal else light, 0
            )
        except SiteError as error:
            tell(str(error))
            return None

    for place, answer in zip(places, map_in_parallel(one, places), strict=True):
        if answer is not None:
            yield config.sites[place].name, answer


def may_have_cases(site: SiteConfig, task: str) -> bool:
    """Whether the configuration leaves a site cases to validate or test with, as far as it tells."""
    split = site.split
    if split is None:
        return True  # its list file says
    if isinstance(split, ExplicitSplit):
        return bool(split.validation if task == VALIDATE else split.test)
    return split[1 if task == VALIDATE else 2] > 0


def _mean(values: Sequence[float], counts: Sequence[int | None]) -> float:
    known = [count for count in counts if count]
    if len(known) < len(values):
        return fmean(values)
    return fmean(values, weights=known)
