"""The jobs about a bundle, and the part of a site's work that is the same in all of them."""

from dataclasses import dataclass
from pathlib import Path

from fedcross.calibration.labelled_cases import LabelledCase, find_labelled_cases
from fedcross.contract.request import RequestOptions
from fedcross.model.bundle import Bundle
from fedcross.training.config.configuration import TrainingConfig
from fedcross.uncertainty.risk_control import Pooling

FEWEST_SHARED_CASES = 5
"""A site with fewer cases sends no curves or moments, because they would tell much about each case."""


@dataclass(frozen=True)
class BundleJob:
    """What a job about a bundle needs.

    Attributes
    ----------
    bundle
        Folder with the bundle's metadata and members.
    parts
        Parts of the split whose cases are used.
    """

    bundle: Path
    parts: tuple[str, ...]


@dataclass(frozen=True)
class ProfileJob(BundleJob):
    """What a job that makes the profile of a bundle needs."""


@dataclass(frozen=True)
class CalibrationJob(BundleJob):
    """What a job that calibrates a bundle needs.

    Attributes
    ----------
    pooling
        How the sites' curves are combined, see `fedcross.uncertainty.risk_control`.
    """

    pooling: Pooling


class BundleWork:
    """The work of one site in a job about a bundle.

    Parameters
    ----------
    config
        The configuration with this site alone.
    job
        The bundle that came with the job, and the parts whose cases are used.
    device
        Device in the hospital's settings.
    """

    def __init__(self, config: TrainingConfig, job: BundleJob, device: str) -> None:
        self._config, self._bundle, self._parts = config, job.bundle, job.parts
        self._options = RequestOptions(device=device)

    def _find_cases(self, bundle: Bundle) -> list[LabelledCase]:
        """Return the site's cases; none if they are fewer than `FEWEST_SHARED_CASES`."""
        cases = find_labelled_cases(self._config, bundle.manifest, parts=self._parts)
        return cases if len(cases) >= FEWEST_SHARED_CASES else []
