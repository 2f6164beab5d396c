"""The members with which a run begins: new ones, or those of a bundle."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fedcross.errors import ConfigError
from fedcross.model.architecture import Architecture, CustomArchitecture
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.model.bundle_copy import copy_essentials
from fedcross.model.network_state import keep_first_names
from fedcross.strategies.method import Members
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.start import StartConfig


def first_members(config: TrainingConfig) -> Members:
    """Return the members before the first round.

    With ``[start]``, member k gets the weights, the number of rounds and the last site of the k-th
    chosen member of the bundle; it has no optimiser state.

    Raises
    ------
    ConfigError
        If the bundle does not fit the configuration, see `check_start`.
    BundleError
        If there is no bundle, or a member's file is missing or was changed.
    """
    members = config.method.first_members(config.network, len(config.sites), config.seed)
    if config.start == StartConfig():
        return members
    with _open_start(config) as bundle:
        chosen = _choose_members(config, bundle, len(members))
        entries = [bundle.manifest.members[index] for index in chosen]
        return tuple(
            replace(
                member,
                weights=keep_first_names(bundle.member_tensors(index)),
                rounds_done=entry.rounds,
                last_site=entry.last_site,
            )
            for member, index, entry in zip(members, chosen, entries, strict=True)
        )


def check_start(config: TrainingConfig) -> None:
    """Check that the run can begin from the bundle of ``[start]``, if it has one.

    Raises
    ------
    ConfigError
        If the bundle has another SHA-256, network or other structures, or its number of members does not
        fit; one sentence with both.
    BundleError
        If there is no bundle.
    """
    if config.start == StartConfig():
        return
    with _open_start(config) as bundle:
        _choose_members(config, bundle, config.method.first_member_count(len(config.sites)))


def adopt_start(config: TrainingConfig, recorded: TrainingConfig) -> TrainingConfig:
    """Return the configuration with the recorded SHA-256 if its bundle is not there any more."""
    if config.start.bundle is None or config.start.sha256 is not None:
        return config
    start = config.start.model_copy(update={"sha256": recorded.start.sha256})
    return config.model_copy(update={"start": start})


def copy_start(config: TrainingConfig, folder: Path) -> None:
    """Copy what `first_members` reads of the bundle to a new folder.

    Raises
    ------
    BundleError
        If there is no bundle.
    ConfigError
        If it does not fit the configuration, see `check_start`.
    """
    with _open_start(config) as bundle:
        copy_essentials(bundle, folder)


@contextmanager
def _open_start(config: TrainingConfig) -> Iterator[Bundle]:
    """Open the bundle of ``[start]`` if it fits the configuration."""
    path = config.start.bundle
    if path is None:
        raise ConfigError("start.bundle is missing: the run begins from a bundle.")
    with open_bundle(path) as bundle:
        _check_fit(config, bundle, path.name)
        yield bundle


def _check_fit(config: TrainingConfig, bundle: Bundle, name: str) -> None:
    manifest = bundle.manifest
    if bundle.sha256 != config.start.sha256:
        raise ConfigError(
            f"The bundle {name} has the SHA-256 {bundle.sha256}, the run begins from "
            f"{config.start.sha256}."
        )
    if _of_any_version(manifest.architecture) != _of_any_version(config.network):
        raise ConfigError(
            f"The bundle {name} has the network {_describe(manifest.architecture)}, the configuration "
            f"{_describe(config.network)}; start needs the same."
        )
    theirs, ours = (
        [name.casefold() for name in steps.channel_names]
        for steps in (manifest.preprocessing, config.preprocessing)
    )
    if len(ours) > 1 and theirs != ours:  # the name of a single channel is optional
        raise ConfigError(
            f"The bundle {name} has the channels {', '.join(theirs)}, the configuration "
            f"{', '.join(ours)}; start needs the same in the same order."
        )
    theirs, ours = (
        [structure.slug for structure in structures]
        for structures in (manifest.structures, config.structures)
    )
    if theirs != ours:
        raise ConfigError(
            f"The bundle {name} has the structures {', '.join(theirs)}, the configuration "
            f"{', '.join(ours)}; start needs the same."
        )


def _choose_members(config: TrainingConfig, bundle: Bundle, needed: int) -> Sequence[int]:
    """Indices in the bundle of the member that each member of the run begins from."""
    available = len(bundle.manifest.members)
    chosen = config.start.members or tuple(range(available))
    if max(chosen) >= available:
        raise ConfigError(
            f"start.members names member {max(chosen)}, but the bundle has {available} members, "
            f"0 to {available - 1}."
        )
    if len(chosen) == 1:
        return chosen * needed
    if len(chosen) != needed:
        what = "start.members names" if config.start.members else "The bundle of start has"
        raise ConfigError(
            f"{what} {len(chosen)} members, but {config.method.kind} begins with {needed}.",
            "Name as many members in start.members, or one for all.",
        )
    return chosen


def _of_any_version(network: Architecture) -> Architecture:
    """The network without the version of its package, which a configuration need not name."""
    return network.with_version(None) if isinstance(network, CustomArchitecture) else network


def _describe(network: Architecture) -> str:
    arguments = network.model_dump(mode="json")
    name = arguments.pop("name")
    return f"{name} ({', '.join(f'{key} = {value}' for key, value in arguments.items())})"
