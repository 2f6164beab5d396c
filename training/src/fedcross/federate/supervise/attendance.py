"""Which sites take part in a job, and which wait for another one."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass
class JobState:
    """What the supervisor stores of the current job.

    Attributes
    ----------
    job_id
        FLARE's identifier of the job.
    server_start_time
        Start time of the server that runs the job.
    last_contact
        Time of the job's last answer, or before the first one of its start.
    starting
        Sites that may still be starting their process of the job: they were connected when it was
        submitted, or that is not known. A site that took part, or that connected later, is not among
        them: it cannot join the job.
    is_pausing
        Whether the job was asked to pause.
    left_out
        Since when each connected site takes no part in the job, by the site's name.
    """

    job_id: str
    server_start_time: str
    last_contact: float
    starting: set[str]
    is_pausing: bool = False
    left_out: dict[str, float] = field(default_factory=dict)

    def find_late(
        self, sites: Collection[str], takes_part: Mapping[str, bool], now: float, join_s: float
    ) -> list[str]:
        """Find the connected sites that cannot join the job any more.

        A site counts if the call before found it too, and a site that may be starting its process of
        the job only after `join_s`.

        Parameters
        ----------
        sites
            Names of the run's sites.
        takes_part
            Names of the connected sites, each with whether it takes part in the job.
        now
            Time of the call in seconds.
        join_s
            See `Timeouts`.
        """
        left_out = [name for name in sites if not takes_part.get(name, True)]
        self.starting -= takes_part.keys() - set(left_out)
        late = [
            name
            for name in left_out
            if name in self.left_out
            and (name not in self.starting or now - self.left_out[name] >= join_s)
        ]
        self.left_out = {name: self.left_out.get(name, now) for name in left_out}
        return late


def describe_missing(
    sites: Collection[str], connected: Collection[str], min_sites: int, *, is_late: bool
) -> str:
    """Return a line about the sites that are not connected before a job is submitted.

    Parameters
    ----------
    sites
        Names of the run's sites.
    connected
        Names of the connected sites.
    min_sites
        Number of sites that must be connected.
    is_late
        Whether the time for the sites to connect is over.
    """
    missing = [name for name in sites if name not in connected]
    names, present = ", ".join(missing), len(sites) - len(missing)
    if not is_late:
        return f"Waiting for {names}."
    if present >= min_sites:
        return f"Begun without {names}; missing sites can join later."
    return (
        f"Waiting for {names}: {present} of {len(sites)} sites are connected, and the run needs "
        f"{min_sites} (min_sites)."
    )
