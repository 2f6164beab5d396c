"""The names of a federation's hospitals, in the coordinator's kit (``local/sites.json``).

A kit of an earlier version has no such file; then no name is checked.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from fedcross.contract.parse import parse_json
from fedcross.contract.plain_text import plain_text
from fedcross.errors import ConfigError
from fedcross.federate.kits.startup_kit import Kit
from fedcross.runtime.files.atomic import write_atomically
from fedcross.training.config.configuration import TrainingConfig

ROSTER = "sites.json"  # in the kit's folder local/


def write_roster(kit: Path, sites: Sequence[str]) -> None:
    """Write the names of all hospitals into the coordinator's kit."""
    data = json.dumps({"sites": list(sites)}, indent=2).encode("utf-8") + b"\n"
    write_atomically(kit / "local" / ROSTER, data, durable=True)


def read_roster(kit: Kit) -> tuple[str, ...] | None:
    """Read the names of all hospitals; None if the kit has no list of them.

    Raises
    ------
    ConfigError
        If the list is damaged.
    """
    try:
        sites = parse_json((kit.path / "local" / ROSTER).read_text(encoding="utf-8"))["sites"]
        if not isinstance(sites, list) or not all(isinstance(name, str) for name in sites):
            raise TypeError("sites must be a list of names")
        return tuple(sites)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ConfigError(f"local/{ROSTER} of the coordinator's kit is damaged.") from error


def check_site_names(kit: Kit, config: TrainingConfig) -> None:
    """Raise ConfigError if a site of the configuration has no startup kit in this federation."""
    known = read_roster(kit)
    if known is None:
        return
    unknown = [site.name for site in config.sites if site.name not in known]
    if unknown:
        names = " and no hospital ".join(repr(plain_text(name)) for name in unknown)
        raise ConfigError(
            f"There is no hospital {names}; the federation has {', '.join(known)}.",
            "Correct the names in [[sites]].",
        )
