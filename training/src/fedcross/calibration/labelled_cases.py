"""The labelled cases of a configuration, with their labels as those of a bundle.

The evaluation, the calibration and the profile of a bundle begin here.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fedcross.errors import ConfigError, DataError
from fedcross.model.manifest import Manifest
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.config.site import SiteConfig
from fedcross.training.data.sites import find_all_cases
from fedcross.training.data.splits import PARTS
from fedcross.training.data.volumes import CaseFiles
from fedcross.volumes.structure import Structure


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
    # The name of a single channel is optional.
    if ours != theirs and max(len(ours), len(theirs)) > 1:
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


def doubt_training_cases(sites: Iterable[str], manifest: Manifest) -> str | None:
    """Return a sentence if a bundle is judged by training cases of its own sites, else None.

    Parameters
    ----------
    sites
        Names of the sites whose training cases are among the cases, in any number.
    manifest
        Manifest of the bundle, with the names of its sites.
    """
    own = [site for site in dict.fromkeys(sites) if site in manifest.sites]
    if not own:
        return None
    return (
        f"Training cases of {', '.join(own)} are among the cases. If they trained the bundle, all "
        "figures are better than for new scans. Choose other parts."
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
