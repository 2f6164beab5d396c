"""The parts of a configuration that are code of other installed packages."""

from fedcross.model.architecture import CustomArchitecture
from fedcross.model.plugin import PluginReference
from fedcross.runtime.plugins import Kind, describe_plugin
from fedcross.runtime.versions import package_versions
from fedcross.training.config.configuration import TrainingConfig


def list_custom_parts(config: TrainingConfig) -> list[tuple[Kind, PluginReference]]:
    """Return the kind and the entry point of every part of another package; empty if there is none."""
    network = config.network
    found: list[tuple[Kind, PluginReference | None]] = [
        ("network", network.plugin if isinstance(network, CustomArchitecture) else None),
        ("loss", config.loss.plugin),
        ("augmentation", config.augmentation.plugin),
        ("optimizer", config.training.optimizer_plugin),
    ]
    return [(kind, plugin) for kind, plugin in found if plugin is not None]


def plugin_versions(config: TrainingConfig) -> dict[str, str]:
    """Return the version of every package that a configuration names, by its name.

    In place of a version it is ``not installed`` or ``not allowed``; see
    `fedcross.runtime.plugins.describe_plugin`.
    """
    packages = dict.fromkeys(plugin.package for _, plugin in list_custom_parts(config))
    return {package: describe_plugin(package) for package in packages}


def used_packages(config: TrainingConfig) -> dict[str, str]:
    """Return the versions of this package and of all packages that decide the result of a run."""
    return {**package_versions(), **plugin_versions(config)}


def require_plugins(config: TrainingConfig) -> None:
    """Check that all packages that a configuration names are installed and allowed; import nothing.

    Raises
    ------
    PluginError
        Names the first part that cannot be used.
    """
    for kind, plugin in list_custom_parts(config):
        plugin.require(kind)
