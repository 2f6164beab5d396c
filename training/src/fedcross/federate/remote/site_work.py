"""What a hospital does in a federation, whoever carries the messages: train, validate, test.

Beside a trained member only figures leave: those that the configuration asks for and the hospital
shares. What goes wrong is told in full in the hospital's own log; the coordinator hears its kind only,
for the sentence may name a case.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from fedcross.errors import ConfigError
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.runtime.device import resolve_device
from fedcross.runtime.versions import package_versions
from fedcross.strategies.member import MemberState
from fedcross.train.config.configuration import TrainingConfig, config_sha256
from fedcross.train.data.sites import find_all_cases, load_sites
from fedcross.train.data.volumes import Site
from fedcross.train.evaluation.testing import evaluate_test
from fedcross.train.evaluation.validation import validate
from fedcross.train.step.trainer import training_precision, visit

SAME_VERSION_PACKAGES = ("fedcross", "torch")  # must be the same at the server and at every site
OPEN, TRAIN, VALIDATE, TEST = "open", "train", "validate", "test"

Tensors = Mapping[str, Tensor]
Answer = dict[str, Any]


def describe_setup(config: TrainingConfig, agreed: str | None = None) -> dict[str, str]:
    """What must be the same at the server and at every site, by what it is called.

    Parameters
    ----------
    config
        Of the run.
    agreed
        SHA-256 of the only configuration that a site takes; None if it takes every one.
    """
    packages = package_versions()
    # Without "+cpu" or "+cu126": a server without a GPU leads hospitals that have one.
    versions = {
        name: packages.get(name, "none").partition("+")[0] for name in SAME_VERSION_PACKAGES
    }
    return {**versions, "the configuration": agreed or config_sha256(config)}


class SiteWork:
    """One hospital at work.

    Parameters
    ----------
    config
        Of the run.
    name
        Which of its sites this is.
    settings
        The hospital's own.
    filter_member
        Returns the member to send, from the member before a visit and the one after; see
        `flare.filters.filter_member`.

    Raises
    ------
    ConfigError
        If the configuration has no such site, is not the one agreed to, or cannot run on this
        machine.
    DeviceError
        If the processor asked for is absent.
    """

    def __init__(
        self,
        config: TrainingConfig,
        name: str,
        settings: SiteSettings,
        filter_member: Callable[[MemberState, MemberState], MemberState],
    ) -> None:
        here = [site for site in config.sites if site.name == name]
        if not here:
            raise ConfigError(f"The configuration {config.name} has no site {name}.")
        if settings.configuration not in (None, config_sha256(config)):
            raise ConfigError(
                f"This site agreed to the configuration {settings.configuration} only, "
                f"got {config_sha256(config)}."
            )
        self._config = config.model_copy(
            update={"sites": tuple(here), "data_root": settings.data, "cache": settings.cache}
        )
        self._shared = set(config.engine.figures) & set(settings.share)
        self._device = resolve_device(settings.device)
        training_precision(config.training, self._device)
        self._filter_member = filter_member
        self._site: Site | None = None

    def do(
        self,
        task: str,
        members: Sequence[Tensors],
        round_index: int,
        progress: Callable[[int, int], None],
    ) -> Answer:
        """Do a task and answer with what may leave.

        Parameters
        ----------
        task
            One of `OPEN`, `TRAIN`, `VALIDATE`, `TEST`.
        members
            In the form of `MemberState.to_tensors`: one to train, any number to judge.
        round_index
            Of the visit, from 0.
        progress
            Called after every epoch; may raise to end the visit.

        Returns
        -------
        dict
            ``open``: cases (training); ``train``: member, loss; ``validate``: dice, cases (those
            judged); ``test``: figures by structure of ensemble and members, cases. A figure that is
            not shared, or does not exist, is None.

        Raises
        ------
        FedCrossError
            As the work itself.
        """
        site = self._opened()
        states = [MemberState.from_tensors(tensors) for tensors in members]
        if task == TRAIN:
            after, report = visit(
                states[0], site, round_index, self._config, self._device, progress
            )
            leaving = self._filter_member(states[0], after)
            return {"member": leaving.to_tensors(), "loss": self._told("loss", report.loss)}
        if task == VALIDATE:
            found = validate(states, [site], self._config, self._device)
            dice = None if found is None else found.mean_dice
            count = self._told("cases", len(site.validation))
            return {"dice": self._told("validation", dice), "cases": count}
        if task == TEST:
            return self._test(states, site)
        return {"cases": self._told("cases", len(site.train))}

    def _opened(self) -> Site:
        """The hospital's cases, read once."""
        if self._site is None:
            (self._site,) = load_sites(self._config, find_all_cases(self._config))
        return self._site

    def _test(self, members: Sequence[MemberState], site: Site) -> Answer:
        figures = None
        if "validation" in self._shared and site.test:
            found = evaluate_test(members, [site], self._config, self._device)
            whole = found["sites"][site.name]
            figures = {key: whole[key] for key in ("ensemble", "members")}
        return {"figures": figures, "cases": self._told("cases", len(site.test))}

    def _told(self, figure: str, value: float | None) -> float | None:
        return value if figure in self._shared else None
