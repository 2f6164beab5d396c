"""Asks a hospital for its approval of a configuration, in words.

The configuration comes from the coordinator. All of its text is made plain and cut.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath

from fedcross.contract.plain_text import plain_text
from fedcross.federate.kits.approvals import (
    LONGEST_LINE,
    Purpose,
    record_request,
    require_approval,
)
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.model.architecture import CustomArchitecture
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.config.custom_parts import plugin_versions
from fedcross.training.config.site import ExplicitSplit, SiteConfig

LONGEST_NAME, SHOWN_NAMES = 80, 12
MOST_COUNTED = 1_000_000
"""Rounds times sites up to which the visits of a schedule are counted."""
FIGURES = {
    "loss": "the mean loss of every visit and its number of skipped steps",
    "validation": "the Dice on validation and test cases",
    "cases": "the numbers of cases",
}
DATA = (
    "for every case, without its name, size, voxel spacing, and extent and intensities of what is "
    "labelled"
)


def request_approval(
    kit: Path, site: str, settings: SiteSettings, config: TrainingConfig, purpose: Purpose
) -> None:
    """Record that a configuration is asked for, and check that the hospital approved it.

    Nothing is recorded or checked at a hospital whose settings require no approval.

    Parameters
    ----------
    kit
        Folder of the hospital's kit.
    site
        Name of the hospital in the configuration.
    settings
        The hospital's settings; their packages must be allowed already, see
        `fedcross.runtime.plugins.allow_plugins`.
    config
        The configuration.
    purpose
        What it is asked for.

    Raises
    ------
    ApprovalError
        If the hospital has not approved the configuration, or has rejected it.
    OutputError
        If the record cannot be read or written.
    """
    if not settings.requires_approval:
        return
    sha256 = config_sha256(config)
    words = describe_request(config, site, settings)
    record_request(kit, sha256, purpose, words, datetime.now(UTC))
    require_approval(kit, settings, sha256)


def describe_request(config: TrainingConfig, site: str, settings: SiteSettings) -> list[str]:
    """Return lines about a configuration: method, data, rounds, what leaves, plugins.

    Parameters
    ----------
    config
        The configuration.
    site
        Name of the hospital in it.
    settings
        The hospital's settings, which say what it shares. The packages in it must be allowed already,
        see `fedcross.runtime.plugins.allow_plugins`.

    Returns
    -------
    list of str
        At most 15 lines of at most 900 characters; no names of cases, no absolute paths.
    """
    lines = [*_describe_training(config), *_describe_data(config, site)]
    lines += [*_describe_visits(config, site), *_describe_leaving(config, site, settings)]
    return [plain_text(line, LONGEST_LINE) for line in (*lines, _describe_plugins(config))]


def _describe_training(config: TrainingConfig) -> Iterator[str]:
    network = config.network
    kind = "custom" if isinstance(network, CustomArchitecture) else network.name
    yield f"Name: {_short(config.name)}"
    if config.description:
        yield f"Description: {plain_text(config.description, 300)}"
    yield (
        f"Method: {config.method.title}, {config.members} "
        f"{'members' if config.members > 1 else 'member'}, network {kind}"
    )
    yield f"Structures: {_join([structure.name for structure in config.structures])}"
    if config.start.sha256 is not None:
        yield f"Begins from the bundle with the SHA-256 {config.start.sha256}"


def _describe_data(config: TrainingConfig, name: str) -> Iterator[str]:
    site = next((each for each in config.sites if each.name == name), None)
    if site is None:
        yield f"Data used here: none, because the configuration has no site {name}"
        return
    chosen = f"those of {len(site.cases)} names or patterns" if site.cases else "all cases"
    if site.exclude:
        chosen += f", but for {len(site.exclude)} names or patterns"
    yield f"Data used here: {_describe_source(site)}; {chosen}"
    yield f"Split: {_describe_split(site)}"


def _describe_source(site: SiteConfig) -> str:
    if site.dataset is not None:
        return f"the data set {_short(site.dataset)} in {_place(site.root or '')}"
    if site.list is not None:
        return f"the cases of the list {_place(site.list)}"
    images = ", ".join(map(_place, site.image_places[:SHOWN_NAMES]))
    return f"images {images}, labels {_place(site.labels or '')}"


def _describe_split(site: SiteConfig) -> str:
    split = site.split
    if split is None:
        return "as the list says"
    counts = (
        tuple(map(len, (split.train, split.validation, split.test)))
        if isinstance(split, ExplicitSplit)
        else split
    )
    how = "by name" if isinstance(split, ExplicitSplit) else "drawn by chance"
    parts = zip(counts, ("training", "validation", "test"), strict=True)
    return f"{', '.join(f'{count} {part}' for count, part in parts)} cases, {how}"


def _describe_visits(config: TrainingConfig, name: str) -> Iterator[str]:
    method, names = config.method, [site.name for site in config.sites]
    line = f"Rounds: {method.rounds}, with {method.local_epochs} epochs in each visit"
    if name in names and method.rounds * len(names) <= MOST_COUNTED:
        schedule = method.make_schedule(len(names), config.seed)
        index = names.index(name)
        visits = method.rounds if schedule is None else sum(row.count(index) for row in schedule)
        line += f"; visits planned here: {visits}"
    yield line


def _describe_leaving(config: TrainingConfig, name: str, settings: SiteSettings) -> Iterator[str]:
    engine = config.engine
    member = "the trained member after every visit, with the state of its optimiser"
    if engine.clip_norm is not None:
        member = (
            f"the trained member after every visit, its change cut to the norm {engine.clip_norm:g}, "
            f"with noise of {engine.noise_multiplier:g} times this norm"
        )
    shared = [
        text for kind, text in FIGURES.items() if kind in engine.figures and kind in settings.share
    ]
    yield f"Leaves this hospital: {'; '.join((member, *shared))}"
    others = [site.name for site in config.sites if site.name != name]
    passes_on = others and not config.method.is_personal
    yield f"Receivers: the server{f', which passes members on to {_join(others)}' if passes_on else ''}"
    yield f"If the coordinator makes a plan: {DATA if 'data' in settings.share else 'nothing'}"
    curves = "counts and sums over five labelled cases or more"
    yield (
        "If the coordinator calibrates a bundle: "
        f"{curves if 'calibration' in settings.share else 'nothing'}"
    )
    moments = "means and covariances of properties of five cases or more"
    yield (
        "If the coordinator makes the profile of a bundle: "
        f"{moments if 'profile' in settings.share else 'nothing'}"
    )


def _describe_plugins(config: TrainingConfig) -> str:
    shown = [f"{_short(name)} ({state})" for name, state in plugin_versions(config).items()]
    return f"Code of other packages: {', '.join(shown) or 'none'}"


def _place(path: str) -> str:
    """A path of the configuration; one outside the data folder is not shown, but named as such."""
    parts = PurePosixPath(path.replace("\\", "/"))
    if parts.is_absolute() or PureWindowsPath(path).anchor or ".." in parts.parts:
        return "A PATH OUTSIDE THE DATA FOLDER"
    return f'"{_short(path)}"'


def _join(names: list[str]) -> str:
    shown = ", ".join(map(_short, names[:SHOWN_NAMES]))
    more = len(names) - SHOWN_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _short(text: str) -> str:
    return plain_text(text, LONGEST_NAME)
