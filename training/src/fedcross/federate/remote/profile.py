"""Makes the profile of a bundle from the moments of sites in other processes, at the server."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from fedcross.calibration.profile import MIN_VALIDATION, assemble
from fedcross.calibration.profile_messages import KnownMoments, SentMoments, SiteProperties
from fedcross.errors import DataError
from fedcross.federate.remote.bundle_job import FEWEST_SHARED_CASES
from fedcross.federate.remote.bundle_tasks import DISTANCES, PROPERTIES, SCORES
from fedcross.federate.remote.engine import Sites
from fedcross.federate.remote.questions import Question
from fedcross.federate.remote.setups import check_setups
from fedcross.model.profile import MIN_SCORES, Profile
from fedcross.runtime.files.record import read_record, write_record
from fedcross.training.config.configuration import TrainingConfig
from fedcross.uncertainty.moments import Moments, merge

FILE = "profile.json"
QUESTION = Question(content="moments", purpose="profile", figure="profile")


def profile_remotely(config: TrainingConfig, sites: Sites, log: Callable[[str], None]) -> Profile:
    """Ask every site for its moments, three times, and make the profile; see `calibration.profile`.

    A site that fails, does not share its moments or has too few cases is left out, with a line in the
    log. Only the scores of validation cases count if there are enough of them, and enough at every site
    that has some; otherwise those of all cases.

    Parameters
    ----------
    config
        The configuration with the sites.
    sites
        Connections to the sites.
    log
        Receives lines.

    Raises
    ------
    ConfigError
        If a site has another version or configuration, no site can take part, or none sends moments.
    DataError
        If the cases are too few, or the moments are no possible profile.
    """
    check_setups(config, sites, log)
    names = [site.name for site in config.sites]
    properties = _usable(QUESTION.ask(names, sites, PROPERTIES, SiteProperties, log), log)
    QUESTION.require(properties)
    moments = tuple(each.moments.moments for each in properties.values())
    only_validation = _has_enough_validation(properties)

    def make_messages(distances: Moments | None) -> dict[str, KnownMoments]:
        return {
            name: KnownMoments(moments, index, only_validation, distances)
            for index, name in enumerate(properties)
        }

    groups = next(iter(properties.values())).groups
    scored = {
        name: each.validation if only_validation else each.moments.count
        for name, each in properties.items()
    }

    def ask(task: str, distances: Moments | None, count: int) -> Moments:
        asked = [name for name in properties if scored[name]]
        found = QUESTION.ask(asked, sites, task, SentMoments, log, sent=make_messages(distances))
        usable = {
            name: each.moments
            for name, each in found.items()
            if len(each.mean) == count and each.count == scored[name]
        }
        for name in found.keys() - usable.keys():
            log(
                f"Site {name} sent moments that do not fit its first ones; the limit is without it."
            )
        QUESTION.require(usable)
        return merge(usable.values())

    distances = ask(DISTANCES, None, len(groups))
    scores = ask(SCORES, distances, 1)
    if scores.count < MIN_SCORES:
        raise DataError(
            f"A profile needs at least {MIN_SCORES} cases, got {scores.count}.",
            "Choose more parts or sites.",
        )
    try:
        return assemble(groups, moments, distances, scores, only_validation=only_validation)
    except ValueError as error:  # a ValidationError of pydantic is one
        raise DataError(
            "The moments of the sites make no valid profile.",
            "A site sends numbers that no images have; see the versions at the sites.",
        ) from error


def profile_for_job(
    config: TrainingConfig, folder: Path, sites: Sites, log: Callable[[str], None]
) -> None:
    """Make the profile of a job and write it into a folder, which is made."""
    made = profile_remotely(config, sites, log)
    write_record(folder / FILE, made)


def read_profile(folder: Path) -> Profile:
    """Read what `profile_for_job` wrote.

    Raises
    ------
    DataError
        If the file is missing or does not have the agreed form.
    """
    problem = "The profile of the federation is missing or damaged."
    return read_record(folder / FILE, Profile, problem)


def _usable(
    answers: dict[str, SiteProperties], log: Callable[[str], None]
) -> dict[str, SiteProperties]:
    """Return the answers with the properties that most sites have, and with enough cases."""
    groups = Counter(each.groups for each in answers.values()).most_common(1)
    usable = {
        name: each
        for name, each in answers.items()
        if each.groups == groups[0][0] and each.moments.count >= FEWEST_SHARED_CASES
    }
    for name in answers.keys() - usable.keys():
        log(f"Site {name} sent moments that do not fit the others; the profile is without it.")
    return usable


def _has_enough_validation(properties: Mapping[str, SiteProperties]) -> bool:
    counts = [each.validation for each in properties.values() if each.validation]
    return sum(counts) >= MIN_VALIDATION and min(counts) >= FEWEST_SHARED_CASES
