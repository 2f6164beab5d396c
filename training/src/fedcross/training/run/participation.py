"""Which sites trained in a run, and how many of their visits took place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.run.folder import RunFolder


@dataclass(frozen=True)
class SiteVisits:
    """The visits of a run at one site.

    Attributes
    ----------
    site
        Name of the site.
    due
        Number of visits that the plan had there.
    made
        Number of visits that took place, also later than planned.
    """

    site: str
    due: int
    made: int


def count_visits(metrics: Iterable[Mapping[str, Any]], sites: Sequence[str]) -> list[SiteVisits]:
    """Count the visits of every site.

    Parameters
    ----------
    metrics
        Lines of ``metrics.jsonl``. A line with ``member`` is a visit; one with ``failed`` or ``absent``
        did not take place; one with ``makes_up`` repeats an earlier visit.
    sites
        Names of the sites; the result has their order.
    """
    due, made = dict.fromkeys(sites, 0), dict.fromkeys(sites, 0)
    for line in metrics:
        if "member" in line and (site := line.get("site")) in due:
            due[site] += "makes_up" not in line
            made[site] += not ("failed" in line or line.get("absent"))
    return [SiteVisits(site, due[site], made[site]) for site in sites]


def count_run_visits(run: RunFolder) -> list[SiteVisits]:
    """Count the visits of a run at each of its sites, see `count_visits`.

    Raises
    ------
    CheckpointError
        If there is no run, or its configuration is damaged.
    """
    return count_visits(run.metrics(), [site.name for site in run.configuration().sites])


def list_trained(run: RunFolder, config: TrainingConfig, rounds_done: int) -> list[str]:
    """Return the names of the sites at which a member was trained in the first `rounds_done` rounds.

    All sites, if the method pools the cases or the run has no record of visits.
    """
    names = [site.name for site in config.sites]
    lines = [line for line in run.metrics() if line["round"] <= rounds_done]
    if config.method.pools_cases or not any("member" in line for line in lines):
        return names
    return [each.site for each in count_visits(lines, names) if each.made]


def describe_visits(visits: Iterable[SiteVisits]) -> str:
    """Return a sentence with the share of its visits that each site made."""
    shares = (
        f"{each.site} {each.made} of {each.due}"
        + (f" ({each.made / each.due:.0%})" if each.due else "")
        for each in visits
    )
    return f"Visits: {', '.join(shares)}."


def describe_missing(visits: Iterable[SiteVisits]) -> str | None:
    """Return a sentence that names the sites that did not train; None if all did."""
    names = [each.site for each in visits if not each.made]
    if not names:
        return None
    return f"{', '.join(names)} took no part: no member was trained there."
