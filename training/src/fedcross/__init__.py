"""Train segmentation models across hospitals, and segment with all of them to see where they disagree.

Segment a volume with a bundle, and get arrays (z, y, x)::

    import fedcross

    result = fedcross.segment("volume.nii.gz", "bundle")
    print(result.labels.shape, result.measures["std"].max())
    print([(each.name, each.volume_ml) for each in result.summary.structures])

An array needs its geometry, and every array of the result can become an image::

    result = fedcross.segment(voxels, "bundle", spacing_mm=(0.5, 0.5, 1.0))
    SimpleITK.WriteImage(result.image(result.measures["entropy"]), "entropy.nrrd")

Train the models of a federation and make a bundle of them::

    run = fedcross.train("federation.toml", "run")
    fedcross.export(run, "bundle")
    with fedcross.open_bundle("bundle") as bundle:
        print(bundle.manifest.name, len(bundle.manifest.members))

Measure the disagreement of members of your own, probabilities (C, D, H, W) in float32::

    statistics = fedcross.EnsembleStatistics(members[0].shape)
    for probabilities in members:
        statistics.update(probabilities)
    print(statistics.mean.shape, statistics.measure("mutual_information").max())

Errors that a person can put right are `FedCrossError`. What is imported here is loaded at its first use.
"""

TYPE_CHECKING = False  # type checkers take it for true; importing typing takes longer than all this
if TYPE_CHECKING:
    from fedcross.api import compare as compare
    from fedcross.api import export as export
    from fedcross.api import load_config as load_config
    from fedcross.api import open_bundle as open_bundle
    from fedcross.api import train as train
    from fedcross.calibration.calibrate import calibrate as calibrate
    from fedcross.calibration.profile_bundle import profile as profile
    from fedcross.commands.console import ConsoleReporter as ConsoleReporter
    from fedcross.contract.measures import MEASURES as MEASURES
    from fedcross.contract.measures import Measure as Measure
    from fedcross.errors import BundleError as BundleError
    from fedcross.errors import CheckpointError as CheckpointError
    from fedcross.errors import ConfigError as ConfigError
    from fedcross.errors import DataError as DataError
    from fedcross.errors import DeviceError as DeviceError
    from fedcross.errors import FedCrossError as FedCrossError
    from fedcross.errors import OutputError as OutputError
    from fedcross.errors import PluginError as PluginError
    from fedcross.federate.local.distillation import distill as distill
    from fedcross.federate.planning import plan as plan
    from fedcross.infer.in_memory import Segmentation as Segmentation
    from fedcross.infer.in_memory import segment as segment
    from fedcross.infer.warm import WarmModels as WarmModels
    from fedcross.model.bundle import Bundle as Bundle
    from fedcross.runtime.plugins import allow_plugins as allow_plugins
    from fedcross.runtime.versions import __version__ as __version__
    from fedcross.study.evaluate.evaluate import evaluate as evaluate
    from fedcross.training.config.configuration import TrainingConfig as TrainingConfig
    from fedcross.uncertainty.agreement import compare_members as compare_members
    from fedcross.uncertainty.agreement import dice as dice
    from fedcross.uncertainty.discrimination import auroc as auroc
    from fedcross.uncertainty.hotspots import find_hotspots as find_hotspots
    from fedcross.uncertainty.measures import upper_bound as upper_bound
    from fedcross.uncertainty.statistics import EnsembleStatistics as EnsembleStatistics
    from fedcross.volumes.grid import Grid as Grid
    from fedcross.volumes.region import Region as Region

_MODULES = {
    "api": ("compare", "export", "load_config", "open_bundle", "train"),
    "calibration.calibrate": ("calibrate",),
    "calibration.profile_bundle": ("profile",),
    "commands.console": ("ConsoleReporter",),
    "contract.measures": ("MEASURES", "Measure"),
    "errors": (
        "BundleError",
        "CheckpointError",
        "ConfigError",
        "DataError",
        "DeviceError",
        "FedCrossError",
        "OutputError",
        "PluginError",
    ),
    "federate.local.distillation": ("distill",),
    "federate.planning": ("plan",),
    "infer.in_memory": ("Segmentation", "segment"),
    "infer.warm": ("WarmModels",),
    "model.bundle": ("Bundle",),
    "runtime.plugins": ("allow_plugins",),
    "runtime.versions": ("__version__",),
    "study.evaluate.evaluate": ("evaluate",),
    "training.config.configuration": ("TrainingConfig",),
    "uncertainty.agreement": ("compare_members", "dice"),
    "uncertainty.discrimination": ("auroc",),
    "uncertainty.hotspots": ("find_hotspots",),
    "uncertainty.measures": ("upper_bound",),
    "uncertainty.statistics": ("EnsembleStatistics",),
    "volumes.grid": ("Grid",),
    "volumes.region": ("Region",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    """Import a public name at its first use."""
    from importlib import import_module

    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"fedcross.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, and what is loaded already."""
    return sorted({*globals(), *__all__})
