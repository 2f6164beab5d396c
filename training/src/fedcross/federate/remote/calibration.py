"""Calibrates a bundle with the curves of sites in other processes; the server combines them."""

from collections.abc import Callable
from pathlib import Path

from fedcross.calibration.curves import LikelihoodCurve, SiteCurves
from fedcross.calibration.fit import fit_calibration, fit_temperature
from fedcross.federate.remote.bundle_job import FEWEST_SHARED_CASES, CalibrationJob
from fedcross.federate.remote.bundle_tasks import CURVES, LIKELIHOOD
from fedcross.federate.remote.engine import Sites
from fedcross.federate.remote.questions import Question
from fedcross.federate.remote.setups import check_setups
from fedcross.model.bundle import open_bundle
from fedcross.model.calibration import Calibration
from fedcross.model.manifest import Manifest
from fedcross.runtime.files.record import read_record, write_record
from fedcross.training.config.configuration import TrainingConfig
from fedcross.uncertainty.risk_control import Pooling
from fedcross.uncertainty.temperature import TEMPERATURES

FILE = "calibration.json"
QUESTION = Question(content="curves", purpose="calibration", figure="calibration")


def calibrate_remotely(
    config: TrainingConfig,
    manifest: Manifest,
    pooling: Pooling,
    sites: Sites,
    log: Callable[[str], None],
) -> Calibration:
    """Ask every site for its curves, twice, and fit the calibration; the curves stay at the server.

    The first answer gives the temperature, the second the curves at this temperature. A site that
    fails, does not share its curves or has too few cases is left out, with a line in the log.

    Parameters
    ----------
    config
        The configuration with the sites.
    manifest
        Manifest of the bundle.
    pooling
        How the sites' curves are combined.
    sites
        Connections to the sites.
    log
        Receives lines.

    Raises
    ------
    ConfigError
        If a site has another version or configuration, no site can take part, or none sends curves.
    """
    check_setups(config, sites, log)
    names = [site.name for site in config.sites]
    likelihoods = QUESTION.ask(names, sites, LIKELIHOOD, LikelihoodCurve, log)
    QUESTION.require(likelihoods)
    temperature = fit_temperature(list(likelihoods.values()), 1.0)
    index = TEMPERATURES.index(temperature)
    curves = QUESTION.ask(list(likelihoods), sites, CURVES, SiteCurves, log, index=index)
    known = {structure.name for structure in manifest.structures}
    usable = {
        name: each
        for name, each in curves.items()
        if each.cases >= FEWEST_SHARED_CASES
        and each.temperature == temperature
        and {structure.name for structure in each.structures} <= known
    }
    for name in curves.keys() - usable.keys():
        log(f"Site {name} sent curves that do not fit the bundle; the calibration is without it.")
    QUESTION.require(usable)
    structures = [structure.name for structure in manifest.structures]
    return fit_calibration(list(usable.values()), structures, pooling)


def calibrate_for_job(
    config: TrainingConfig,
    job: CalibrationJob,
    folder: Path,
    sites: Sites,
    log: Callable[[str], None],
) -> None:
    """Calibrate the bundle of a job and write the calibration into a folder, which is made."""
    with open_bundle(job.bundle) as bundle:
        calibration = calibrate_remotely(config, bundle.manifest, job.pooling, sites, log)
    write_record(folder / FILE, calibration)


def read_calibration(folder: Path) -> Calibration:
    """Read what `calibrate_for_job` wrote.

    Raises
    ------
    DataError
        If the file is missing or does not have the agreed form.
    """
    problem = "The calibration of the federation is missing or damaged."
    return read_record(folder / FILE, Calibration, problem)
