"""Distil an ensemble: train one network that gives the mean probabilities of all members.

The student begins as the first member and trains on the training cases of all sites together. Its loss
is that on the labels plus the divergence from the mean of the members' probabilities on the same,
augmented patch (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, at temperature 1).
"""

from datetime import UTC, datetime
from pathlib import Path

import torch

from fedcross.contract.plain_text import counted
from fedcross.errors import ConfigError, DataError
from fedcross.federate.local.engine import read_data
from fedcross.federate.local.teacher import Teacher
from fedcross.federate.local.visits import pool_sites
from fedcross.model.bundle import Bundle, open_bundle, write_bundle
from fedcross.model.bundle_copy import check_copy
from fedcross.model.manifest import Manifest
from fedcross.model.memory_format import choose_memory_format
from fedcross.model.network_state import keep_first_names
from fedcross.runtime.device import resolve_device
from fedcross.runtime.plugins import allow_plugins
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.runtime.signals import interrupt_on_terminate
from fedcross.strategies.member import MemberState
from fedcross.strategies.methods.centralised import Centralised
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.config.custom_parts import used_packages
from fedcross.training.config.source import ConfigSource, PathLike, load_source
from fedcross.training.step.custom_check import try_custom_parts
from fedcross.training.step.precision import training_precision
from fedcross.training.step.visit import visit

SHARE = 0.25
"""Steps of the student as a share of those of all models of a run; see `distill`."""
STAGE = "distil"


def distill(
    bundle: PathLike,
    config: ConfigSource,
    out: PathLike,
    *,
    share: float = SHARE,
    device: str = "auto",
    data_root: PathLike | None = None,
    cache: PathLike | None = None,
    reporter: Reporter | None = None,
) -> Bundle:
    """Train one network to give the mean probabilities of an ensemble, and make a bundle of it.

    On a CPU with the same number of threads the same call makes the same network.

    Parameters
    ----------
    bundle
        Bundle of the ensemble, a folder or a ``.zip``; it is not changed. Its network, grid and
        structures are those of the student. Its temperature is not used.
    config, data_root, cache
        See `fedcross.load_config`. The student trains on the training cases of all sites with the
        configuration's seed, loss, optimiser and augmentation, never on validation or test cases.
    out
        Bundle folder to make, with one member, neither calibrated nor with a profile; a bundle that is
        there is replaced.
    share
        Steps of the student as a share of those that all models of a run with this configuration make
        together, above 0 and at most 10.
    device
        ``auto``, ``cpu``, or a GPU such as ``cuda:0``.
    reporter
        Receives stages and progress; None reports nothing.

    Returns
    -------
    Bundle
        The bundle written. The source in its provenance has the SHA-256 of the ensemble's bundle.

    Raises
    ------
    ConfigError
        If `share` is out of range, or the configuration has other structures or channels than the
        bundle.
    BundleError, DataError, DeviceError, OutputError, PluginError
        If the bundle, a case, the device, `out` or a package cannot be used: one sentence.
    KeyboardInterrupt
        On Ctrl-C or SIGTERM; nothing is left at `out` that was not there before.
    """
    path, target = Path(bundle), Path(out)
    reporter = reporter or NullReporter()
    if not 0 < share <= 10:
        raise ConfigError(f"share must be above 0 and at most 10, got {share:g}.")
    loaded = load_source(config, data_root, cache)
    with interrupt_on_terminate(), open_bundle(path) as teacher:
        check_copy(path, target)
        student_config = configure_student(loaded, teacher.manifest, share)
        allow_plugins(*student_config.plugins)
        try_custom_parts(student_config)
        chosen = resolve_device(device)
        training_precision(student_config, chosen)  # raises before any case is read
        trained, sites = _train(teacher, student_config, chosen, reporter)
        manifest = _describe(teacher, student_config, sites)
        return write_bundle(target, manifest, [dict(trained.weights)])


def configure_student(config: TrainingConfig, manifest: Manifest, share: float) -> TrainingConfig:
    """Return the configuration of a student: one visit with all cases, on the ensemble's grid.

    Parameters
    ----------
    config
        Configuration with the cases, the budget and the training.
    manifest
        Manifest of the ensemble.
    share
        See `distill`; at least one epoch is trained.

    Raises
    ------
    ConfigError
        If the structures or the channels differ.
    """
    theirs, ours = ([s.slug for s in each.structures] for each in (manifest, config))
    if theirs != ours:
        raise ConfigError(
            f"The bundle {manifest.name} has the structures {', '.join(theirs)}, the configuration "
            f"{', '.join(ours)}; distillation needs the same in the same order."
        )
    theirs, ours = (list(each.preprocessing.channel_names) for each in (manifest, config))
    if theirs != ours:
        raise ConfigError(
            f"The bundle {manifest.name} takes the channels {', '.join(theirs)}, the configuration has "
            f"{', '.join(ours)}; distillation needs the same in the same order."
        )
    method, sites = config.method, len(config.sites)
    visits = method.visits_before(method.rounds, sites)
    sites_of_visit = sites if method.pools_cases else 1
    epochs = max(1, round(share * visits * sites_of_visit * method.local_epochs / sites))
    return config.model_copy(
        update={
            "method": Centralised(rounds=1, local_epochs=epochs),
            "network": manifest.architecture,
            "preprocessing": manifest.preprocessing,
            "structures": manifest.structures,
        }
    )


def _train(
    teacher: Bundle, config: TrainingConfig, device: torch.device, reporter: Reporter
) -> tuple[MemberState, list[str]]:
    """Train the student; return it, and the names of the sites whose cases it saw."""
    members = [teacher.load_member(k, device) for k in range(len(teacher.manifest.members))]
    for member in members:
        member.to(memory_format=choose_memory_format(member, device))  # type: ignore[call-overload]
    first = keep_first_names(teacher.member_tensors(0))
    sites = read_data(config, reporter).sites
    pooled = pool_sites(sites)
    if not pooled.train:
        raise DataError("The configuration has no training case.", "Change the split of the sites.")
    reporter.stage(STAGE, f"Distilling {len(members)} members with {len(pooled.train)} cases")
    trained, _ = visit(
        MemberState(len(members), first, {}),
        pooled,
        0,
        config,
        device,
        lambda done, total: reporter.progress(done, total, STAGE),
        Teacher(members),
    )
    return trained, [site.name for site in sites if site.train]


def _describe(teacher: Bundle, config: TrainingConfig, sites: list[str]) -> dict[str, object]:
    """Return the manifest of the student without its member."""
    manifest, count = teacher.manifest, len(teacher.manifest.members)
    kept = manifest.model_dump(
        mode="json", include={"name", "description", "architecture", "preprocessing", "structures"}
    )
    return {
        **kept,
        "sites": list(dict.fromkeys([*manifest.sites, *sites])),
        "provenance": {
            "created": datetime.now(UTC).date().isoformat(),
            "source": f"Distilled from the bundle with the SHA-256 {teacher.sha256} "
            f"({counted(count, 'member')}), {counted(config.method.local_epochs, 'epoch')} of the "
            f"training cases of {counted(len(sites), 'site')}.",
            "packages": used_packages(config),
            "configuration_sha256": config_sha256(config),
        },
    }
