"""What a site computes for the calibration of a bundle: curves of its labelled cases."""

from collections.abc import Callable

from fedcross.calibration.calibrate import calibrated_models, with_calibration
from fedcross.calibration.site_curves import (
    TEMPERATURE_CASES,
    measure_curves,
    measure_likelihood,
)
from fedcross.federate.remote.bundle_job import BundleWork
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle import open_bundle
from fedcross.model.calibration import Calibration
from fedcross.uncertainty.temperature import TEMPERATURES

Progress = Callable[[int, int], None]


class SiteCalibration(BundleWork):
    """Computes the curves of one site."""

    def likelihood(self, progress: Progress) -> str | None:
        """Return the `LikelihoodCurve` as JSON; None if the site has too few cases."""
        with open_bundle(self._bundle) as bundle, WarmModels() as models:
            cases = self._find_cases(bundle)
            if not cases:
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
            cases = self._find_cases(bundle)
            if not cases:
                return None
            curves = measure_curves(
                cases,
                with_calibration(bundle, calibration),
                options=self._options,
                models=calibrated_models(models, calibration),
                progress=_counter(progress, len(cases)),
            )
        return curves.model_dump_json()


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return advance
