"""A federation's sites in this process, asked as those behind an engine are; they fail at will."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.remote.site_work import SiteWork, credentials
from fedcross.federate.remote.visits import SiteError
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig

Answer = dict[str, Any]


def as_it_is(before: MemberState, after: MemberState) -> MemberState:
    """What leaves a site without filters."""
    return after


class SitesHere:
    """Every site of a configuration, at work in this process.

    Parameters
    ----------
    config
        Its data folder serves all sites.
    fails
        Whether (site, task, round index) fails.
    changes
        What becomes of an answer on its way.
    share
        Figures that the sites share.
    others
        Credentials of sites that differ.
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        fails: Callable[[str, str, int], bool] = lambda site, task, round_index: False,
        changes: Callable[[str, str, int, Answer], Answer] = lambda site, task, r, answer: answer,
        share: tuple[str, ...] = ("loss", "validation", "cases"),
        others: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        settings = SiteSettings(data=config.data_root, device="cpu", share=share)
        self._config, self._others = config, others or {}
        self._fails, self._changes = fails, changes
        self._one_at_a_time = threading.Lock()
        self._work = {
            site.name: SiteWork(config, site.name, settings, as_it_is) for site in config.sites
        }

    def greet(self) -> dict[str, Mapping[str, str]]:
        own = credentials(self._config)
        return {name: {**own, **self._others.get(name, {})} for name in self._work}

    def __call__(
        self, site: str, task: str, members: Sequence[MemberState], round_index: int
    ) -> Answer:
        if self._fails(site, task, round_index):
            raise SiteError(f"Site {site} was not heard of for 60 s.")
        tensors = [member.to_tensors() for member in members]
        with self._one_at_a_time:  # elsewhere each site has a process of its own
            answer = self._work[site].do(task, tensors, round_index, lambda done, epochs: None)
        return self._changes(site, task, round_index, answer)
