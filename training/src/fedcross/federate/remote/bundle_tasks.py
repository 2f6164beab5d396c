"""The tasks of a site in a job about a bundle: curves for its calibration, moments for its profile."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from fedcross.calibration.profile_messages import KnownMoments
from fedcross.errors import ConfigError, DataError
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.remote.bundle_job import BundleJob, CalibrationJob, ProfileJob
from fedcross.federate.remote.site_calibration import SiteCalibration
from fedcross.federate.remote.site_profile import SiteProfile
from fedcross.training.config.configuration import TrainingConfig

LIKELIHOOD, CURVES = "likelihood", "curves"  # for a calibration
PROPERTIES, DISTANCES, SCORES = "properties", "distances", "scores"  # for a profile
BUNDLE_TASKS = (LIKELIHOOD, CURVES, PROPERTIES, DISTANCES, SCORES)


class BundleTasks:
    """Does the tasks of one site in a job about a bundle.

    Parameters
    ----------
    config
        The configuration with this site alone.
    settings
        The hospital's own settings.
    job
        The job; None if the job is about no bundle.
    """

    def __init__(
        self, config: TrainingConfig, settings: SiteSettings, job: BundleJob | None
    ) -> None:
        self._config, self._settings, self._job = config, settings, job
        self._profile: SiteProfile | None = None

    def do(
        self,
        task: str,
        tensors: Sequence[Mapping[str, Tensor]],
        index: int,
        progress: Callable[[int, int], None],
    ) -> dict[str, Any]:
        """Do a task; see `SiteWork.do` for the parameters and the answer.

        Raises
        ------
        ConfigError
            If the job has no such task.
        FedCrossError
            If a case or the bundle cannot be used, or the server sent something of another form.
        """
        if task in (LIKELIHOOD, CURVES):
            return self._calibrate(task, index, progress)
        return self._measure(task, tensors, progress)

    def _calibrate(
        self, task: str, temperature_index: int, progress: Callable[[int, int], None]
    ) -> dict[str, Any]:
        if not isinstance(self._job, CalibrationJob):
            raise ConfigError("This job calibrates no bundle.")
        if "calibration" not in self._settings.share:
            return {"shared": False, "curves": None}
        work = SiteCalibration(self._config, self._job, self._settings.device)
        curves = (
            work.likelihood(progress)
            if task == LIKELIHOOD
            else work.curves(temperature_index, progress)
        )
        return {"shared": True, "curves": curves}

    def _measure(
        self,
        task: str,
        tensors: Sequence[Mapping[str, Tensor]],
        progress: Callable[[int, int], None],
    ) -> dict[str, Any]:
        if not isinstance(self._job, ProfileJob):
            raise ConfigError("This job makes no profile of a bundle.")
        if "profile" not in self._settings.share:
            return {"shared": False, "moments": None}
        if self._profile is None:
            self._profile = SiteProfile(self._config, self._job, self._settings.device)
        if task == PROPERTIES:
            return {"shared": True, "moments": self._profile.properties(progress)}
        if len(tensors) != 1:
            raise DataError("The server sent moments of another form.")
        known = KnownMoments.from_tensors(tensors[0])
        work = self._profile.distances if task == DISTANCES else self._profile.scores
        return {"shared": True, "moments": work(known, progress)}
