"""What a site computes for the profile of a bundle: moments of the properties of its cases."""

from collections.abc import Callable

from fedcross.calibration.profile import (
    MeasuredCase,
    distance_moments,
    property_names,
    score_moments,
    site_moments,
)
from fedcross.calibration.profile_bundle import measure_cases
from fedcross.calibration.profile_messages import KnownMoments, SentMoments, SiteProperties
from fedcross.errors import DataError
from fedcross.federate.remote.bundle_job import FEWEST_SHARED_CASES, BundleWork
from fedcross.federate.remote.case_progress import CaseProgress
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle import open_bundle


class SiteProfile(BundleWork):
    """Computes the moments of one site; its cases are segmented once."""

    _cases: list[MeasuredCase] | None = None

    def properties(self, progress: Callable[[int, int], None]) -> str | None:
        """Return the `SiteProperties` as JSON; None if the site has too few cases."""
        cases = self._measure(progress)
        if len(cases) < FEWEST_SHARED_CASES:
            return None
        return SiteProperties(
            groups=tuple(property_names(cases[0])),
            moments=self._own_moments(cases),
            validation=len(_select_scored(cases, only_validation=True)),
        ).model_dump_json()

    def distances(self, known: KnownMoments, progress: Callable[[int, int], None]) -> str | None:
        """Return the moments of the logarithms of the distances as JSON; None with too few cases."""
        cases, scored = self._known_cases(known, progress)
        if len(scored) < FEWEST_SHARED_CASES:
            return None
        names = property_names(cases[0])
        moments = distance_moments(known.sites, known.own, scored, names)
        return SentMoments.of(moments).model_dump_json()

    def scores(self, known: KnownMoments, progress: Callable[[int, int], None]) -> str | None:
        """Return the moments of the logarithms of the scores as JSON; None with too few cases."""
        cases, scored = self._known_cases(known, progress)
        if len(scored) < FEWEST_SHARED_CASES:
            return None
        names = property_names(cases[0])
        if known.distances is None or len(known.distances.mean) != len(names):
            raise DataError("The server sent moments of another form.")
        moments = score_moments(known.sites, known.distances, known.own, scored, names)
        return SentMoments.of(moments).model_dump_json()

    def _known_cases(
        self, known: KnownMoments, progress: Callable[[int, int], None]
    ) -> tuple[list[MeasuredCase], list[MeasuredCase]]:
        """Return all cases and those that are scored; DataError if the moments do not fit them."""
        cases = self._measure(progress)
        if not cases or SentMoments.of(known.sites[known.own]) != self._own_moments(cases):
            raise DataError("The server sent other moments of this site than it had.")
        return cases, _select_scored(cases, only_validation=known.only_validation)

    def _own_moments(self, cases: list[MeasuredCase]) -> SentMoments:
        return SentMoments.of(site_moments(cases, property_names(cases[0])))

    def _measure(self, progress: Callable[[int, int], None]) -> list[MeasuredCase]:
        """Segment and measure the cases at the first call; too few are not segmented."""
        if self._cases is None:
            with open_bundle(self._bundle) as bundle, WarmModels() as models:
                self._cases = measure_cases(
                    self._find_cases(bundle),
                    bundle,
                    options=self._options,
                    models=models,
                    reporter=CaseProgress(progress),
                )
        return self._cases


def _select_scored(cases: list[MeasuredCase], *, only_validation: bool) -> list[MeasuredCase]:
    return [case for case in cases if case.part == "validation" or not only_validation]
