"""Validates and tests members at remote sites, which send figures only."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.site_work import TEST, VALIDATE
from fedcross.federate.remote.visits import SendTask, SiteError
from fedcross.strategies.method import Members
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.site import ExplicitSplit, SiteConfig
from fedcross.training.evaluation.validation import Validation


def validate_remotely(
    predictors: Members, config: TrainingConfig, send_task: SendTask, log: Callable[[str], None]
) -> Validation | None:
    """Validate the members that predict on the validation cases of every site.

    Parameters
    ----------
    predictors
        Members that predict; for a personal method, member k is validated at site k only.
    config
        Configuration of the run.
    send_task
        Sends a task to a site and returns its answer.
    log
        Receives a sentence about every site that failed; such a site is left out.

    Returns
    -------
    Validation or None
        The mean is over all cases if every site shares its number of cases, else over the sites. None
        if no site sends a Dice.
    """
    dices, counts = {}, []
    for name, answer in _send_to_all(VALIDATE, predictors, config, send_task, log):
        if answer["dice"] is not None:
            dices[name] = float(answer["dice"])
            counts.append(answer["cases"])
    if not dices:
        return None
    return Validation(_mean(list(dices.values()), counts), dices)


def test_remotely(
    predictors: Members, config: TrainingConfig, send_task: SendTask, log: Callable[[str], None]
) -> dict[str, Any]:
    """Evaluate the members that predict on the test cases of every site.

    See `validate_remotely` for the parameters. The result has the form of `evaluate_test` without
    cases and reliability; its mean is None if no site sends figures.
    """
    sites, counts = {}, []
    for name, answer in _send_to_all(TEST, predictors, config, send_task, log):
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


def _send_to_all(
    task: str,
    predictors: Members,
    config: TrainingConfig,
    send_task: SendTask,
    log: Callable[[str], None],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Send a task to all sites that may have cases; yield (site, answer) of those that did it."""
    members = [replace(member, optimizer={}) for member in predictors]
    is_personal = config.method.is_personal and task == VALIDATE
    indices = [index for index, site in enumerate(config.sites) if may_have_cases(site, task)]

    def send(index: int) -> Mapping[str, Any] | None:
        try:
            own = members[index : index + 1] if is_personal else members
            return send_task(config.sites[index].name, task, own, 0)
        except SiteError as error:
            log(str(error))
            return None

    for index, answer in zip(indices, map_in_parallel(send, indices), strict=True):
        if answer is not None:
            yield config.sites[index].name, answer


def may_have_cases(site: SiteConfig, task: str) -> bool:
    """Whether a site may have cases for `VALIDATE` or `TEST`, as far as the configuration shows."""
    split = site.split
    if split is None:
        return True  # the split is in the site's list file
    if isinstance(split, ExplicitSplit):
        return bool(split.validation if task == VALIDATE else split.test)
    return split[1 if task == VALIDATE else 2] > 0


def _mean(values: Sequence[float], counts: Sequence[int | None]) -> float:
    """The mean weighted by the counts; unweighted if a count is None or 0."""
    known = [count for count in counts if count]
    if len(known) < len(values):
        return fmean(values)
    return fmean(values, weights=known)
