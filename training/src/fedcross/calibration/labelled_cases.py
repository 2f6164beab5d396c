"""Segment labelled cases with a bundle, each beside its drawn label map.

The evaluation and the calibration of a bundle begin here. The segmentation is exactly that of
``fedcross segment``.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedcross.contract.measures import MEASURES, Measure
from fedcross.contract.request import RequestOptions
from fedcross.ensemble.members import Observer
from fedcross.errors import ConfigError, DataError
from fedcross.infer.compute import Result
from fedcross.infer.models import Models, fresh_models
from fedcross.infer.results.summary import Summary
from fedcross.infer.segment import Job, run_job
from fedcross.model.bundle import Bundle
from fedcross.model.manifest import Manifest
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.site import SiteConfig
from fedcross.training.data.reading import read_case, read_channel, with_case_name
from fedcross.training.data.sites import find_all_cases
from fedcross.training.data.splits import PARTS
from fedcross.training.data.volumes import CaseFiles
from fedcross.volumes.structure import Structure

_Outcome = TypeVar("_Outcome")


@dataclass(frozen=True)
class LabelledCase:
    """A case with a drawn label map.

    Attributes
    ----------
    site
        Name of the site.
    part
        ``train``, ``validation`` or ``test``.
    files
        Its files.
    label_map
        Value in the label file to the label in the bundle; structures that the bundle does not have
        are mapped to 0.
    missing
        Labels in the bundle of the structures that were not drawn in this case.
    """

    site: str
    part: str
    files: CaseFiles
    label_map: dict[int, int]
    missing: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Name of the case, unique within its site."""
        return self.files.name

    def drawn(self, structures: Sequence[Structure]) -> list[Structure]:
        """Return those of the bundle's structures that were drawn in this case."""
        return [each for each in structures if each.label not in self.missing]


@dataclass(frozen=True)
class SegmentedCase:
    """A labelled case and its segmentation, arrays (z, y, x) on the grid of the first image.

    Attributes
    ----------
    case
        The case.
    truth
        The drawn label map with the labels of the bundle, uint8.
    result
        What the ensemble computed; it can be read as long as its temporary files are open.
    summary
        The same in numbers.
    """

    case: LabelledCase
    truth: NDArray[np.uint8]
    result: Result
    summary: Summary

    @property
    def structures(self) -> list[Structure]:
        """The structures of the bundle that were drawn in this case."""
        return self.case.drawn(self.result.structures)


def find_labelled_cases(
    config: TrainingConfig,
    manifest: Manifest,
    *,
    parts: Collection[str] = ("test",),
    sites: Collection[str] | None = None,
) -> list[LabelledCase]:
    """Return the cases of some parts and sites; no image is read.

    The structures of the configuration and of the bundle are matched by their names; capitals do not
    matter.

    Parameters
    ----------
    config
        Configuration with the sites and their splits.
    manifest
        Manifest of the bundle.
    parts
        Parts of the split to use: ``train``, ``validation``, ``test``.
    sites
        Names of the sites to use; None uses all.

    Returns
    -------
    list of LabelledCase
        By site in the order of the configuration, then by part, then in the order of the split.

    Raises
    ------
    ConfigError
        If a part or a site is unknown, the bundle has none of the structures of the configuration, or
        its channels are others.
    DataError
        If the cases of a site cannot be found or split, or there is no case in these parts.
    """
    check_choice("part", parts, PARTS)
    known = [site.name for site in config.sites]
    check_choice("site", known if sites is None else sites, known)
    ours, theirs = (
        [name.casefold() for name in steps.channel_names]
        for steps in (config.preprocessing, manifest.preprocessing)
    )
    if (
        ours != theirs and max(len(ours), len(theirs)) > 1
    ):  # the name of a single channel is optional
        raise ConfigError(
            f"The bundle {manifest.name} takes the channels "
            f"{', '.join(manifest.preprocessing.channel_names)}, but the configuration has "
            f"{', '.join(config.preprocessing.channel_names)}.",
            "Set preprocessing.channels of the configuration to those of the bundle.",
        )
    to_bundle = _labels_in_bundle(config.structures, manifest)
    cases = []
    for site, found in zip(config.sites, find_all_cases(config), strict=True):
        if sites is not None and site.name not in sites:
            continue
        label_map = {
            value: to_bundle.get(label, 0)
            for value, label in site.mapping(config.structures).items()
        }
        missing = _not_drawn(site, config.structures, to_bundle, manifest)
        cases += [
            LabelledCase(site.name, part, files, label_map, missing)
            for part, of_part in found.parts()
            if part in parts
            for files in of_part
        ]
    if not cases:
        where = "" if sites is None else f" of {', '.join(sites)}"
        raise DataError(
            f"The configuration has no case in the parts {', '.join(parts)}{where}.",
            "Choose another part, or change the split of the sites.",
        )
    return cases


def segment_case(
    case: LabelledCase,
    bundle: Bundle,
    finish: Callable[[SegmentedCase], _Outcome],
    *,
    options: RequestOptions | None = None,
    measures: Collection[Measure] = MEASURES,
    observe: Callable[[NDArray[np.uint8]], Observer] | None = None,
    properties: bool = False,
    models: Models = fresh_models,
    reporter: Reporter | None = None,
) -> _Outcome:
    """Segment a case and return what `finish` makes of it.

    Parameters
    ----------
    case
        The case; its files are read here.
    bundle
        The opened bundle.
    finish
        Receives the segmented case while its temporary files are open.
    options
        Device, precision and back-end; None is the default of ``fedcross segment``.
    measures
        Measures that the result can return.
    observe
        Makes, of the drawn label map (z, y, x), what receives every member's probabilities.
    properties
        Whether to measure the properties of the case for a profile of familiar cases.
    models
        Opens bundle and back-end. A `fedcross.infer.warm.WarmModels` keeps them from case to case.
    reporter
        Receives stages and progress; None reports nothing.

    Raises
    ------
    DataError
        If a file of the case cannot be used; the message names the case.
    BundleError, DeviceError
        If the bundle or the device cannot be used.
    """
    image, truth = read_case(case.files, case.label_map, case.site)
    job = Job(
        read=(
            lambda: image,
            *(partial(read_channel, each.path, each.channel) for each in case.files.further),
        ),
        bundle=bundle.path,
        options=options or RequestOptions(),
        measures=tuple(measures),
        observe=None if observe is None else observe(truth),
        properties=properties,
    )

    def complete(result: Result, summary: Summary) -> _Outcome:
        return finish(SegmentedCase(case, truth, result, summary))

    try:
        return run_job(job, reporter or NullReporter(), models, complete)
    except DataError as error:
        raise with_case_name(error, case.files, case.site) from error


def doubt_training_cases(cases: Sequence[LabelledCase], manifest: Manifest) -> str | None:
    """Return a sentence if training cases of the bundle's own sites are among the cases, else None.

    Parameters
    ----------
    cases
        The chosen cases.
    manifest
        Manifest of the bundle, with the names of its sites.
    """
    sites = dict.fromkeys(case.site for case in cases if case.part == "train")
    own = [site for site in sites if site in manifest.sites]
    if not own:
        return None
    return (
        f"Training cases of {', '.join(own)} are among the cases. The bundle was trained there; if with "
        "these cases, all figures are better than for new scans. Choose other parts."
    )


def check_choice(what: str, chosen: Collection[str], known: Sequence[str]) -> None:
    """Raise `ConfigError` if a chosen name is not among the known ones; `what` is one of them."""
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ConfigError(f"There is no {what} {unknown[0]!r}.", f"Use {', '.join(known)}.")


def _labels_in_bundle(structures: Sequence[Structure], manifest: Manifest) -> dict[int, int]:
    """The label in the bundle of each label in the configuration; others are left out."""
    by_name = {structure.name.casefold(): structure.label for structure in manifest.structures}
    found = {
        each.label: by_name[each.name.casefold()]
        for each in structures
        if each.name.casefold() in by_name
    }
    if not found:
        raise ConfigError(
            f"The bundle {manifest.name} segments "
            f"{', '.join(each.name for each in manifest.structures)}, but the configuration has "
            f"{', '.join(each.name for each in structures)}.",
            "Give the structures of the configuration the names that they have in the bundle.",
        )
    return found


def _not_drawn(
    site: SiteConfig,
    structures: Sequence[Structure],
    to_bundle: dict[int, int],
    manifest: Manifest,
) -> tuple[int, ...]:
    """The labels in the bundle of the structures that were not drawn at a site."""
    missing = site.missing(structures)
    drawn = {in_bundle for label, in_bundle in to_bundle.items() if label not in missing}
    return tuple(each.label for each in manifest.structures if each.label not in drawn)
