"""A federation's sites in this process, called like remote ones; a test can let them fail."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.remote.bundle_job import BundleJob
from fedcross.federate.remote.site_work import SiteWork, describe_setup
from fedcross.federate.remote.visits import HasTensors, SiteError
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig

Answer = dict[str, Any]


def keep_unfiltered(before: MemberState, after: MemberState) -> MemberState:
    """A site's filter that changes nothing."""
    return after


class InProcessSites:
    """All sites of a configuration in this process; see `remote.engine.Sites`.

    Parameters
    ----------
    config
        The configuration; all sites read from its data folder.
    fails
        Whether the task of (site, task, round index) fails.
    changes
        Returns the answer to deliver, from (site, task, round index, answer).
    share
        Figures that the sites share.
    bundle_job
        What the sites make for a bundle, if anything.
    others
        Entries of a site's setup that differ from the server's, by the site's name.
    """

    def __init__(
        self,
        config: TrainingConfig,
        *,
        fails: Callable[[str, str, int], bool] = lambda site, task, round_index: False,
        changes: Callable[[str, str, int, Answer], Answer] = lambda site, task, r, answer: answer,
        share: tuple[str, ...] = ("loss", "validation", "cases"),
        bundle_job: BundleJob | None = None,
        others: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        settings = SiteSettings(data=config.data_root, device="cpu", share=share)
        self._config, self._others = config, others or {}
        self._fails, self._changes = fails, changes
        self._one_at_a_time = threading.Lock()
        self._work = {
            site.name: SiteWork(config, site.name, settings, keep_unfiltered, bundle_job)
            for site in config.sites
        }

    def fetch_setups(self) -> dict[str, Mapping[str, str]]:
        own = describe_setup(self._config)
        return {name: {**own, **self._others.get(name, {})} for name in self._work}

    def __call__(
        self, site: str, task: str, members: Sequence[HasTensors], round_index: int
    ) -> Answer:
        if self._fails(site, task, round_index):
            raise SiteError(f"Site {site} did not answer for 60 s.")
        tensors = [member.to_tensors() for member in members]
        with self._one_at_a_time:  # remote sites have a process each
            answer = self._work[site].do(task, tensors, round_index, lambda done, epochs: None)
        return self._changes(site, task, round_index, answer)
