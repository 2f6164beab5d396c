"""What a site computes for the calibration of a bundle: curves of its labelled cases."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedcross.calibration.calibrate import calibrated_models, with_calibration
from fedcross.calibration.labelled_cases import LabelledCase, find_labelled_cases
from fedcross.calibration.site_curves import (
    TEMPERATURE_CASES,
    measure_curves,
    measure_likelihood,
)
from fedcross.contract.request import RequestOptions
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.calibration import Calibration
from fedcross.training.config.configuration import TrainingConfig
from fedcross.uncertainty.risk_control import Pooling
from fedcross.uncertainty.temperature import TEMPERATURES

FEWEST_SHARED_CASES = 5
"""A site with fewer cases sends no curves or moments, because they would tell much about each case."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CalibrationJob:
    """What a job that calibrates a bundle needs.

    Attributes
    ----------
    bundle
        Folder with the bundle's metadata and members.
    pooling
        How the sites' curves are combined, see `fedcross.uncertainty.risk_control`.
    parts
        Parts of the split whose cases are used.
    """

    bundle: Path
    pooling: Pooling
    parts: tuple[str, ...]


class SiteCalibration:
    """Computes the curves of one site.

    Parameters
    ----------
    config
        The configuration with this site alone.
    job
        The bundle that came with the job, and the parts whose cases are used.
    device
        Device in the hospital's settings.
    """

    def __init__(self, config: TrainingConfig, job: CalibrationJob, device: str) -> None:
        self._config, self._bundle, self._parts = config, job.bundle, job.parts
        self._options = RequestOptions(device=device)

    def likelihood(self, progress: Progress) -> str | None:
        """Return the `LikelihoodCurve` as JSON; None if the site has too few cases."""
        with open_bundle(self._bundle) as bundle, WarmModels() as models:
            cases = self._cases(bundle)
            if cases is None:
                return None
            curve = measure_likelihood(
                cases,
                bundle,
                options=self._options,
                models=models,
                progress=_counter(progress, min(len(cases), TEMPERATURE_CASES)),
            )
        return curve.model_dump_json()

    def curves(self, temperature_index: int, progress: Progress) -> str | None:
        """Return the `SiteCurves` at a temperature of the grid as JSON; None with too few cases."""
        calibration = Calibration(temperature=TEMPERATURES[temperature_index])
        with open_bundle(self._bundle) as bundle, WarmModels() as models:
            cases = self._cases(bundle)
            if cases is None:
                return None
            curves = measure_curves(
                cases,
                with_calibration(bundle, calibration),
                options=self._options,
                models=calibrated_models(models, calibration),
                progress=_counter(progress, len(cases)),
            )
        return curves.model_dump_json()

    def _cases(self, bundle: Bundle) -> list[LabelledCase] | None:
        cases = find_labelled_cases(self._config, bundle.manifest, parts=self._parts)
        return cases if len(cases) >= FEWEST_SHARED_CASES else None


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return advance
