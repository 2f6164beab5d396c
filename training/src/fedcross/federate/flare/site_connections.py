"""The server's connections to the sites of a job, over NVIDIA FLARE's Collab API.

A task is sent at once and its answer fetched later by repeated short calls. A visit may thus take hours,
while a site that died is noticed within the silence timeout.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from nvflare.collab.api.exceptions import CollabCallError

from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.setups import FAILED
from fedcross.federate.remote.site_work import Answer
from fedcross.federate.remote.visits import HasTensors, SiteError
from fedcross.training.config.configuration import TrainingConfig

LONG_POLL_S = 10.0
RETRY_DELAY_S = 1.0
BYTES_PER_MBIT = 125_000


class FlareSites:
    """Connections to the sites that take part in a job; see `remote.engine.Sites`.

    Parameters
    ----------
    proxies
        FLARE's proxies by the sites' names; those of sites outside the configuration are ignored.
    config
        Configuration of the run; its section ``engine`` has the timeouts.
    """

    def __init__(self, proxies: Mapping[str, Any], config: TrainingConfig) -> None:
        names = {site.name for site in config.sites}
        self._proxies = {name: proxy for name, proxy in proxies.items() if name in names}
        self._silence_timeout_s = config.engine.silence_timeout_s
        self._visit_timeout_s = config.engine.visit_timeout_s
        self._bytes_per_s = config.engine.slowest_mbit_s * BYTES_PER_MBIT
        self._poll_s = min(LONG_POLL_S, self._silence_timeout_s / 2)

    def fetch_setups(self) -> dict[str, dict[str, str]]:
        """See `remote.setups.FetchSetups`."""

        def fetch(name: str) -> dict[str, str]:
            try:
                setup: dict[str, str] = self._proxy(name).hello()
            except CollabCallError as error:
                return {FAILED: str(error.cause_type)}
            return setup

        names = list(self._proxies)
        return dict(zip(names, map_in_parallel(fetch, names), strict=True))

    def __call__(
        self, site: str, task: str, members: Sequence[HasTensors], round_index: int
    ) -> Answer:
        """Send a task to a site and wait for its answer; see `remote.visits.SendTask`."""
        if site not in self._proxies:
            raise SiteError(f"Site {site} is not connected.")
        tensors = [member.to_tensors() for member in members]
        size = sum(tensor.nbytes for each in tensors for tensor in each.values())
        try:
            ticket = self._proxy(site, size).begin(
                task=task, members=tensors, round_index=round_index
            )
        except CollabCallError as error:
            raise SiteError(f"Site {site} cannot be reached: {error.cause_type}.") from error
        answer = self._wait_for_answer(site, ticket)
        if "failed" in answer:
            raise SiteError(f"Site {site} failed: {answer['failed']}; see the log at the site.")
        return answer

    def _wait_for_answer(self, site: str, ticket: int) -> Answer:
        """Poll for the answer until it comes, the site is silent for too long, or time is up."""
        started = last_contact = time.monotonic()
        while time.monotonic() - started < self._visit_timeout_s:
            try:
                answer: Answer | None = self._proxy(site).collect(
                    ticket=ticket, wait_s=self._poll_s
                )
            except CollabCallError as error:
                if time.monotonic() - last_contact >= self._silence_timeout_s:
                    raise SiteError(
                        f"Site {site} did not answer for {self._silence_timeout_s:g} s."
                    ) from error
                time.sleep(RETRY_DELAY_S)
                continue
            if answer is not None:
                return answer
            last_contact = time.monotonic()
        raise SiteError(f"Site {site} took longer than {self._visit_timeout_s:g} s.")

    def _proxy(self, name: str, size: int = 0) -> Any:
        """A site's proxy; its timeout allows for a message of `size` bytes on the slowest line."""
        return self._proxies[name](timeout=self._silence_timeout_s + size / self._bytes_per_s)
