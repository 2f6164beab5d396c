"""Measure the training and validation cases of the sites for a plan."""

from collections.abc import Mapping

from fedcross.errors import DataError
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.check.figures import CaseFigures, measure_case
from fedcross.training.data.reading import read_case, with_case_name
from fedcross.training.data.sites import find_all_cases
from fedcross.training.data.volumes import CaseFiles
from fedcross.training.planning.figures import SiteFigures


def gather_figures(
    config: TrainingConfig, reporter: Reporter | None = None
) -> tuple[SiteFigures, ...]:
    """Measure every training and validation case of every site; test cases are not read.

    Parameters
    ----------
    config
        The configuration; only its data, structures and seed are used.
    reporter
        Receives the number of cases read, in the stage "plan". None reports nothing.

    Returns
    -------
    tuple of SiteFigures
        In the order of the configuration's sites.

    Raises
    ------
    DataError
        If a case cannot be used; the message names it.
    """
    reporter = reporter or NullReporter()
    found = find_all_cases(config)
    total = sum(len(cases.train) + len(cases.validation) for cases in found)
    done = 0
    sites = []
    for site, cases in zip(config.sites, found, strict=True):
        label_map = site.mapping(config.structures)
        figures = []
        for case in (*cases.train, *cases.validation):
            figures.append(_measure(case, label_map, site.name))
            done += 1
            reporter.progress(done, total, "plan")
        sites.append(SiteFigures(train=len(cases.train), cases=tuple(figures)))
    return tuple(sites)


def _measure(case: CaseFiles, label_map: Mapping[int, int], site: str) -> CaseFigures:
    image, label = read_case(case, label_map, site)
    try:
        return measure_case(image, label)
    except DataError as error:
        raise with_case_name(error, case, site) from error
