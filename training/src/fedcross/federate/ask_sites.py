"""Asks the sites by a job that leaves no run: on FLARE's simulator, or at the hospitals."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fedcross.runtime.reporting import Reporter
from fedcross.training.config.configuration import TrainingConfig

BuildJob = Callable[[Path, str], Path]
"""Writes a job into a folder, with an identifier; returns the job folder."""


@contextmanager
def ask_sites(
    config: TrainingConfig,
    build: BuildJob,
    *,
    kind: str,
    stage: str,
    content: str,
    device: str,
    kit: Path | None,
    reporter: Reporter,
) -> Iterator[Path]:
    """Do a job, and yield the folder with its result, which is removed afterwards.

    Parameters
    ----------
    config
        Configuration with the sites. Simulated ones all read from its data folder.
    build
        Writes the job.
    kind
        First word of the job's identifier.
    stage
        The stage that is reported.
    content
        What the sites are asked for, for people.
    device
        Device of the simulated sites: ``auto``, ``cpu`` or ``cuda:N``. Hospitals use that of their
        settings.
    kit
        The coordinator's startup kit, to ask the hospitals; None for the simulator.
    reporter
        Receives the stage and log lines.

    Raises
    ------
    ConfigError
        If FLARE does not allow a site's name, or the kit cannot be used.
    FedCrossError
        If the server cannot be reached, or the job does not finish.
    """
    if kit is None:
        from fedcross.federate.flare.simulator import simulate_job

        reporter.stage(stage, f"Asking the sites on NVIDIA FLARE's simulator for {content}")
        with tempfile.TemporaryDirectory(prefix=f"fedcross-{kind}-") as folder:
            yield simulate_job(build(Path(folder), kind), config, device)
        return
    from fedcross.federate.flare.admin import open_server_connection
    from fedcross.federate.kits.preflight import open_coordinator_kit
    from fedcross.federate.supervise.short_job import follow_job, new_job_id

    opened = open_coordinator_kit(kit, reporter.log, config, waits=True)
    reporter.stage(stage, f"Asking the hospitals for {content}")
    with tempfile.TemporaryDirectory() as folder, open_server_connection(opened) as connection:
        job_folder = build(Path(folder), new_job_id(kind))
        yield follow_job(config, connection, job_folder, Path(folder), reporter.log)
