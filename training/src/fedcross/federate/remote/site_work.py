"""The tasks of a site: count cases, train, validate, test; measure cases for a plan or for a bundle.

A site sends a trained member and figures, and only those figures that the configuration lists and the
hospital shares.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from fedcross.errors import ConfigError
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.remote.bundle_job import BundleJob
from fedcross.federate.remote.bundle_tasks import BUNDLE_TASKS, BundleTasks
from fedcross.federate.remote.case_progress import CaseProgress
from fedcross.federate.remote.logged_warnings import LoggedWarnings
from fedcross.runtime.device import resolve_device
from fedcross.runtime.plugins import allow_plugins
from fedcross.runtime.versions import package_versions
from fedcross.strategies.member import MemberState
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from fedcross.training.config.custom_parts import plugin_versions
from fedcross.training.data.sites import find_all_cases, load_sites
from fedcross.training.data.volumes import Site
from fedcross.training.evaluation.testing import evaluate_test
from fedcross.training.evaluation.validation import validate
from fedcross.training.planning.gather import gather_figures
from fedcross.training.step.custom_check import try_custom_parts
from fedcross.training.step.precision import training_precision
from fedcross.training.step.visit import visit

SAME_VERSION_PACKAGES = ("fedcross", "torch")  # must be the same at the server and at every site
OPEN, TRAIN, VALIDATE, TEST = "open", "train", "validate", "test"  # OPEN reads and counts the cases
FIGURES = "figures"  # measures the cases for a plan

Tensors = Mapping[str, Tensor]
Answer = dict[str, Any]


def describe_setup(config: TrainingConfig, agreed: str | None = None) -> dict[str, str]:
    """Versions and configuration hash, which must be the same at the server and at every site.

    Among the versions are those of the packages whose code the configuration uses.

    Parameters
    ----------
    config
        Configuration of the run.
    agreed
        SHA-256 of the only configuration that a site accepts; None if it accepts every one.

    Returns
    -------
    dict of str to str
        ``{"fedcross": version, "torch": version, "the configuration": SHA-256}``.
    """
    packages = package_versions()
    # Without "+cpu" or "+cu126": the server may have no GPU while the sites have one.
    versions = {
        name: packages.get(name, "none").partition("+")[0] for name in SAME_VERSION_PACKAGES
    }
    versions |= {
        f"the package {name}": version for name, version in plugin_versions(config).items()
    }
    return {**versions, "the configuration": agreed or config_sha256(config)}


class SiteWork:
    """Does the tasks of one site.

    Parameters
    ----------
    config
        Configuration of the run.
    name
        Name of this site in the configuration.
    settings
        The hospital's own settings.
    filter_member
        Returns the member to send, from the member before a visit and the one after; see
        `flare.filters.filter_member`.
    bundle_job
        What the job makes for a bundle; None for other jobs.

    Attributes
    ----------
    found
        What the last task found at this site, whether it is sent or not: ``cases`` (their number),
        ``loss`` and ``dice`` of a visit and a validation. For the hospital's own log.

    Raises
    ------
    ConfigError
        If the configuration has no such site, is not the one that the hospital agreed to, or its
        precision is not possible on this machine.
    DeviceError
        If the device in the settings does not exist.
    PluginError
        If a part of the configuration is code of another package that is not installed, not allowed by
        the hospital, or does not work.
    """

    def __init__(
        self,
        config: TrainingConfig,
        name: str,
        settings: SiteSettings,
        filter_member: Callable[[MemberState, MemberState], MemberState],
        bundle_job: BundleJob | None = None,
    ) -> None:
        own = [site for site in config.sites if site.name == name]
        if not own:
            raise ConfigError(f"The configuration {config.name} has no site {name}.")
        if settings.configuration not in (None, config_sha256(config)):
            raise ConfigError(
                f"This site agreed only to the configuration {settings.configuration}, "
                f"got {config_sha256(config)}."
            )
        self._config = config.model_copy(
            update={"sites": tuple(own), "data_root": settings.data, "cache": settings.cache}
        )
        self._shared = set(config.engine.figures) & set(settings.share)
        self._shares_data = "data" in settings.share
        self._device = resolve_device(settings.device)
        training_precision(config, self._device)
        allow_plugins(*settings.plugins)
        try_custom_parts(config)
        self._filter_member = filter_member
        self._bundle_tasks = BundleTasks(self._config, settings, bundle_job)
        self._site: Site | None = None
        self.found: dict[str, float | None] = {}

    def do(
        self,
        task: str,
        members: Sequence[Tensors],
        round_index: int,
        progress: Callable[[int, int], None],
    ) -> Answer:
        """Do a task; return the member and the figures that the site sends.

        Parameters
        ----------
        task
            One of `OPEN`, `TRAIN`, `VALIDATE`, `TEST`, `FIGURES`, or of
            `fedcross.federate.remote.bundle_tasks.BUNDLE_TASKS`.
        members
            Members as tensors, see `MemberState.to_tensors`: one for `TRAIN`, those that predict for
            `VALIDATE` and `TEST`; one `KnownMoments` for ``distances`` and ``scores``; none for the
            others.
        round_index
            Index of the round, from 0; for ``curves`` that of the temperature in
            `fedcross.uncertainty.temperature.TEMPERATURES`.
        progress
            Called after every epoch with (epochs done, epochs of the visit), and after every case that
            is measured with (cases done, cases); an exception that it raises ends the task.

        Returns
        -------
        dict
            ``open``: cases (number of training cases); ``train``: member (tensors), loss, skipped
            (number of skipped steps, shared with the loss);
            ``validate``: dice, cases (number of validation cases); ``test``: figures (Dice by
            structure of ensemble and members), cases (number of test cases); ``figures``: figures
            (`SiteFigures` as JSON); ``likelihood`` and ``curves``: shared (whether the hospital shares
            curves), curves (JSON, None with too few cases); ``properties``, ``distances`` and
            ``scores``: shared, moments (likewise). A figure that is not shared or does not exist is
            None.

        Raises
        ------
        FedCrossError
            If reading, training or evaluating fails.
        """
        self.found = {}
        if task == FIGURES or task in BUNDLE_TASKS:
            progress = self._count_cases(progress)
        if task == FIGURES:
            return {"figures": self._measure(progress) if self._shares_data else None}
        if task in BUNDLE_TASKS:
            return self._bundle_tasks.do(task, members, round_index, progress)
        site = self._load_site()
        states = [MemberState.from_tensors(tensors) for tensors in members]
        if task == TRAIN:
            after, report = visit(
                states[0], site, round_index, self._config, self._device, progress
            )
            self.found = {"cases": len(site.train), "loss": report.loss}
            filtered = self._filter_member(states[0], after)
            return {
                "member": filtered.to_tensors(),
                "loss": self._if_shared("loss", report.loss),
                "skipped": self._if_shared("loss", report.skipped),
            }
        if task == VALIDATE:
            validation = validate(states, [site], self._config, self._device)
            dice = None if validation is None else validation.mean_dice
            self.found = {"cases": len(site.validation), "dice": dice}
            count = self._if_shared("cases", len(site.validation))
            return {"dice": self._if_shared("validation", dice), "cases": count}
        if task == TEST:
            self.found = {"cases": len(site.test)}
            return self._test(states, site)
        self.found = {"cases": len(site.train)}
        return {"cases": self._if_shared("cases", len(site.train))}

    def _load_site(self) -> Site:
        """Read the hospital's cases at the first call; return them from memory afterwards."""
        if self._site is None:
            found = find_all_cases(self._config)
            (self._site,) = load_sites(self._config, found, LoggedWarnings())
        return self._site

    def _count_cases(self, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """Pass progress over cases on, and keep their number."""

        def count(done: int, total: int) -> None:
            self.found = {"cases": total}
            progress(done, total)

        return count

    def _measure(self, progress: Callable[[int, int], None]) -> str:
        (figures,) = gather_figures(self._config, CaseProgress(progress))
        return figures.model_dump_json()

    def _test(self, members: Sequence[MemberState], site: Site) -> Answer:
        figures = None
        if "validation" in self._shared and site.test:
            results = evaluate_test(members, [site], self._config, self._device)["sites"][site.name]
            figures = {key: results[key] for key in ("ensemble", "members")}
        return {"figures": figures, "cases": self._if_shared("cases", len(site.test))}

    def _if_shared(self, figure: str, value: float | None) -> float | None:
        return value if figure in self._shared else None
