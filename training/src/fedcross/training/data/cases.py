"""Find a site's cases and split them into training, validation and test; no image is read."""

import fnmatch
import re
from dataclasses import dataclass, replace
from pathlib import Path

from fedcross.errors import DataError
from fedcross.training.config.site import ExplicitSplit, SiteConfig
from fedcross.training.data.sources.channels import ChannelChoice
from fedcross.training.data.sources.datasets import DATASETS
from fedcross.training.data.sources.lists import list_notes, read_list
from fedcross.training.data.sources.pairs import FoundFiles, find_pairs
from fedcross.training.data.splits import PARTS, SiteCases, split_by_count, split_by_name
from fedcross.training.data.volumes import CaseFiles, ImageFile


@dataclass(frozen=True)
class FoundCases:
    """A site's cases before they are split.

    Attributes
    ----------
    cases
        The cases whose image and label files exist.
    problems
        Name of every other case to its error.
    parts
        Case's name to its part (train, validation or test) according to a list; empty without one.
    notes
        Remarks about the data set, one sentence each.
    """

    cases: tuple[CaseFiles, ...]
    problems: dict[str, DataError]
    parts: dict[str, str]
    notes: tuple[str, ...] = ()


def find_cases(
    site: SiteConfig, data_root: Path, seed: int, channels: tuple[str, ...] = ("image",)
) -> SiteCases:
    """Find and split a site's cases.

    Parameters
    ----------
    site
        The site's configuration.
    data_root
        Folder that the site's paths are relative to.
    seed
        The run's seed; together with the site's name it determines a split by numbers.
    channels
        Names of the channels, see `fedcross.volumes.preprocessing.Preprocessing`.

    Raises
    ------
    DataError
        If a folder is missing, empty or of another layout, an image has no label or a label no
        image, a name occurs twice, a named case is absent, there are fewer cases than the split
        needs, or a patient's scans would be in two parts.
    """
    found = gather_cases(site, data_root, channels)
    if found.problems:
        first, *others = found.problems.values()
        more = f"Other errors: {len(others)}; fedcross data check lists them." if others else ""
        raise DataError(first.message, f"{first.hint} {more}".strip())
    return split_cases(site, found, seed)


def gather_cases(
    site: SiteConfig, data_root: Path, channels: tuple[str, ...] = ("image",)
) -> FoundCases:
    """Find a site's cases; errors of single cases are returned in `problems`, not raised.

    Parameters
    ----------
    site
        The site's configuration.
    data_root
        Folder that the site's paths are relative to.
    channels
        Names of the channels.

    Raises
    ------
    DataError
        If an error concerns the whole site, for example an absent folder.
    """
    try:
        if site.list is not None:
            return _select_cases(site, _cases_from_list(site, data_root / site.list, channels))
        if site.dataset is not None:
            choice = ChannelChoice(channels, site.channels)
            found = DATASETS[site.dataset].find(data_root / str(site.root), choice)
        else:
            image, *others = site.image_places
            further = dict(zip(channels[1:], others, strict=False))
            found = find_pairs(data_root, image, str(site.labels), further)
        if site.channels is not None and not found.further and site.dataset != "nnunet":
            found = found.with_volumes_of_4d(site.channels, channels)
        return _select_cases(site, _cases_from_files(site, found))
    except DataError as error:
        raise DataError(f"Site {site.name}: {error.message}", error.hint) from error
    except OSError as error:
        place = Path(str(error.filename)).name
        raise DataError(
            f"Site {site.name}: {place} cannot be read: {error.strerror}.",
            "Check that the drive is connected and that you have permission to read it.",
        ) from error


def split_cases(site: SiteConfig, found: FoundCases, seed: int) -> SiteCases:
    """Split a site's cases according to its configuration, or else to its list.

    Parameters
    ----------
    site
        The site's configuration.
    found
        The site's cases.
    seed
        The run's seed; together with the site's name it determines a split by numbers.

    Raises
    ------
    DataError
        If neither has a split, or the split is impossible with these cases.
    """
    cases, notes = found.cases, found.notes
    if isinstance(site.split, ExplicitSplit):
        return split_by_name(site.name, cases, site.split.model_dump(), notes)
    if site.split is not None:
        return split_by_count(site.name, cases, site.split, seed, notes)
    if not found.parts:
        raise DataError(
            f"Site {site.name} has no split, and its list has no split column.",
            "Add one of them.",
        )
    used = {case.name for case in cases}
    names = {
        part: [name for name, own in found.parts.items() if own == part and name in used]
        for part in PARTS
    }
    return split_by_name(site.name, cases, names, notes)


def _cases_from_list(site: SiteConfig, path: Path, channels: tuple[str, ...]) -> FoundCases:
    """Find the cases of a list; with several indices, all channels are in one 4D image."""
    first, *others = site.channels or (None,)
    named = channels[:1] if others else channels
    listed = read_list(path, named)
    return FoundCases(
        tuple(
            CaseFiles(
                case.name,
                case.image,
                case.label,
                case.patient,
                first,
                further=(
                    *(ImageFile(case.image, index) for index in others),
                    *map(ImageFile, case.further),
                ),
            )
            for case in listed
        ),
        {},
        {case.name: case.part for case in listed if case.part},
        list_notes(path, named),
    )


def _cases_from_files(site: SiteConfig, found: FoundFiles) -> FoundCases:
    cases, problems = [], dict(found.problems)
    for name in sorted({*found.images, *found.labels} - problems.keys()):
        absent = [each.name for each in found.further if name not in each.files]
        if name not in found.labels:
            lack = "an image but no label"
        elif name not in found.images:
            lack = "a label but no image"
        elif absent:
            lack = f"no image for {absent[0]}"
        else:
            further = tuple(ImageFile(each.files[name], each.index) for each in found.further)
            image, label = found.images[name], found.labels[name]
            cases.append(CaseFiles(name, image, label, channel=found.index, further=further))
            continue
        problems[name] = DataError(
            f"Case {name} of site {site.name} has {lack}.",
            "Add the missing file, or name the case in exclude.",
        )
    return FoundCases(tuple(cases), problems, {}, found.notes)


def _select_cases(site: SiteConfig, found: FoundCases) -> FoundCases:
    """Apply the site's options: keep the selected cases and add patient and resampling."""
    known = [*(case.name for case in found.cases), *found.problems]
    for pattern in (*site.cases, *site.exclude):
        if not any(_matches(name, pattern) for name in known):
            raise DataError(f"There is no case {pattern}.", "Check cases and exclude.")
    problems = {name: e for name, e in found.problems.items() if _is_wanted(site, name)}
    cases = []
    for case in found.cases:
        if not _is_wanted(site, case.name):
            continue
        paths = (*(image.path for image in case.images), case.label)
        absent = [path.name for path in paths if not path.exists()]
        if absent:
            problems[case.name] = DataError(
                f"Case {case.name} of site {site.name}: {absent[0]} does not exist.",
                "Restore the file, or name the case in exclude.",
            )
        else:
            cases.append(_with_options(site, case))
    return replace(found, cases=tuple(cases), problems=problems)


def _with_options(site: SiteConfig, case: CaseFiles) -> CaseFiles:
    return replace(
        case,
        patient=case.patient or _patient(site, case.name),
        resample_label=bool(site.resample_labels),
    )


def _patient(site: SiteConfig, name: str) -> str:
    if site.patient is None:
        return ""
    match = re.search(site.patient, name)
    if match is None:
        raise DataError(
            f"The pattern patient = {site.patient!r} does not match the case {name}.",
            "It must match the name of every case.",
        )
    return match[1] if match.groups() else match[0]


def _is_wanted(site: SiteConfig, name: str) -> bool:
    if any(_matches(name, pattern) for pattern in site.exclude):
        return False
    return not site.cases or any(_matches(name, pattern) for pattern in site.cases)


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern is the name itself, which may have brackets, or matches it."""
    return name == pattern or fnmatch.fnmatchcase(name, pattern)
