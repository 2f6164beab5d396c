"""Gathers the figures for a plan from sites in other processes; the server combines them."""

from collections.abc import Callable

from fedcross.errors import ConfigError
from fedcross.federate.remote.answers import parse_answer
from fedcross.federate.remote.engine import Sites
from fedcross.federate.remote.parallel import map_in_parallel
from fedcross.federate.remote.setups import check_setups
from fedcross.federate.remote.site_work import FIGURES
from fedcross.federate.remote.visits import SiteError
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.planning.figures import FederationFigures, SiteFigures, combine_sites


def gather_remotely(
    config: TrainingConfig, sites: Sites, log: Callable[[str], None]
) -> FederationFigures:
    """Ask every site for its figures and combine them; the figures of single cases stay at the server.

    A site that fails, or does not share the figures of its data, is left out, with a line in the log.

    Parameters
    ----------
    config
        The configuration; its data, structures and seed are used.
    sites
        Connections to the sites.
    log
        Receives lines.

    Raises
    ------
    ConfigError
        If a site has another version or configuration, no site can take part, or none shares figures.
    DataError
        If no case has a labelled voxel.
    """
    check_setups(config, sites, log)

    def ask(name: str) -> SiteFigures | None:
        try:
            answer = sites(name, FIGURES, [], 0)["figures"]
        except SiteError as error:
            log(f"{error} The plan is without this site.")
            return None
        if answer is None:
            log(
                f"Site {name} does not share the figures of its data; the plan is without it. "
                'It shares them with "data" in share of its local/site.toml.'
            )
            return None
        return parse_answer(name, answer, SiteFigures, log, content="figures", purpose="plan")

    names = [site.name for site in config.sites]
    answers = dict(zip(names, map_in_parallel(ask, names), strict=True))
    known = [answer for answer in answers.values() if answer is not None]
    if not known:
        raise ConfigError(
            "No site sent figures of its data.",
            'Ask the hospitals to add "data" to share in their local/site.toml; see also their logs.',
        )
    return combine_sites(known, [name for name in names if answers[name] is None])
