"""A bundle calibrated with the curves of sites in other processes, combined at the server."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from fedcross.calibration.curves import LikelihoodCurve, SiteCurves
from fedcross.calibration.fit import fit_calibration, fit_temperature
from fedcross.errors import ConfigError, DataError
from fedcross.federate.remote.answers import parse_answer
from fedcross.federate.remote.engine import Sites
from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.setups import check_setups
from fedcross.federate.remote.site_calibration import FEWEST_SHARED_CASES, CalibrationJob
from fedcross.federate.remote.site_work import CURVES, LIKELIHOOD
from fedcross.federate.remote.visits import SiteError
from fedcross.model.bundle import open_bundle
from fedcross.model.calibration import Calibration
from fedcross.model.manifest import Manifest
from fedcross.training.config.configuration import TrainingConfig
from fedcross.uncertainty.risk_control import Pooling
from fedcross.uncertainty.temperature import TEMPERATURES

FILE = "calibration.json"

_Curves = TypeVar("_Curves", bound=BaseModel)


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
    likelihoods = _ask(names, sites, LIKELIHOOD, 0, LikelihoodCurve, log)
    _require(likelihoods)
    temperature = fit_temperature(list(likelihoods.values()), 1.0)
    index = TEMPERATURES.index(temperature)
    curves = _ask(list(likelihoods), sites, CURVES, index, SiteCurves, log)
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
    _require(usable)
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
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_calibration(folder: Path) -> Calibration:
    """Read what `calibrate_for_job` wrote.

    Raises
    ------
    DataError
        If the file is missing or does not have the agreed form.
    """
    try:
        return Calibration.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # a ValidationError is a ValueError
        raise DataError("The calibration of the federation is missing or damaged.") from error


def _ask(
    names: list[str],
    sites: Sites,
    task: str,
    index: int,
    form: type[_Curves],
    log: Callable[[str], None],
) -> dict[str, _Curves]:
    """Return the answers of the sites that gave one of the agreed form."""

    def ask(name: str) -> _Curves | None:
        try:
            answer = sites(name, task, [], index)
        except SiteError as error:
            log(f"{error} The calibration is without this site.")
            return None
        if not answer["shared"]:
            log(
                f"Site {name} does not share curves of its cases; the calibration is without it. It "
                'shares them with "calibration" in share of its local/site.toml.'
            )
            return None
        if answer["curves"] is None:
            log(
                f"Site {name} has fewer than {FEWEST_SHARED_CASES} labelled cases; the calibration is "
                "without it."
            )
            return None
        return parse_answer(
            name, answer["curves"], form, log, content="curves", purpose="calibration"
        )

    answers = zip(names, map_in_parallel(ask, names), strict=True)
    return {name: answer for name, answer in answers if answer is not None}


def _require(answers: dict[str, _Curves]) -> None:
    if not answers:
        raise ConfigError(
            "No site sent curves of its labelled cases.",
            'Ask the hospitals to add "calibration" to share in their local/site.toml; see also their '
            "logs.",
        )
