"""Which cases a site has and how they are split: files found and paired by name, none opened."""

import csv
import fnmatch
import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcross.errors import DataError
from fedcross.train.config_sections import ExplicitSplit, SiteConfig
from fedcross.train.seeding import python_generator
from fedcross.train.volumes import CaseFiles

EXTENSIONS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
PARTS = ("train", "validation", "test")
_WILDCARDS = {"*": ".*", "?": "."}


@dataclass(frozen=True)
class SiteCases:
    """A site's cases, split; `unused` are those that the split's numbers leave over."""

    train: tuple[CaseFiles, ...]
    validation: tuple[CaseFiles, ...]
    test: tuple[CaseFiles, ...]
    unused: tuple[CaseFiles, ...] = ()

    def names(self) -> dict[str, list[str]]:
        """The cases' names by part, for the record."""
        parts = {part: getattr(self, part) for part in (*PARTS, "unused")}
        return {part: [case.name for case in cases] for part, cases in parts.items()}


def find_cases(site: SiteConfig, data_root: Path, seed: int) -> SiteCases:
    """Find and split a site's cases.

    Parameters
    ----------
    site
        Its configuration.
    data_root
        Folder that its paths are relative to.
    seed
        Of the run; with the site's name it decides the split, so that adding a site leaves the
        others' splits as they were.

    Raises
    ------
    DataError
        If a folder is missing or empty, an image has no label or a label no image, a name occurs
        twice, a named case is not there, or there are fewer cases than the split needs.
    """
    if site.list is not None:
        cases, listed = _from_list(site, data_root / site.list)
    else:
        cases, listed = _from_folders(site, data_root), {}
    cases = _chosen(site, cases)
    if isinstance(site.split, ExplicitSplit):
        return _split_by_name(site, cases, site.split.model_dump())
    if site.split is not None:
        return _split_by_count(site, cases, site.split, seed)
    if not listed:
        raise DataError(
            f"The list of site {site.name} has no split column and the site no split.",
            "Add one of them.",
        )
    chosen = {case.name for case in cases}
    return _split_by_name(
        site,
        cases,
        {
            part: [name for name in listed if listed[name] == part and name in chosen]
            for part in PARTS
        },
    )


def _from_folders(site: SiteConfig, data_root: Path) -> list[CaseFiles]:
    """Pair images and labels by name: a folder's by file name, a pattern's by its wildcards."""
    images = _by_name(site, "images", data_root / str(site.images))
    labels = _by_name(site, "labels", data_root / str(site.labels))
    wanted = [name for name in sorted({*images, *labels}) if _is_wanted(site, name)]
    for name in wanted:
        if name not in labels:
            raise DataError(f"Case {name} of site {site.name} has an image but no label.")
        if name not in images:
            raise DataError(f"Case {name} of site {site.name} has a label but no image.")
    return [CaseFiles(name, images[name], labels[name]) for name in wanted]


def _by_name(site: SiteConfig, kind: str, place: Path) -> dict[str, Path]:
    """All volumes of a folder or of a glob pattern, by the case's name."""
    if place.is_dir():
        paths = [path for path in place.iterdir() if _is_volume(path)]
        named = [(_stem(path), path) for path in paths]
    elif glob.has_magic(str(place)):
        named = [(_matched(place.name, path.name), path) for path in place.parent.glob(place.name)]
        named = [(name, path) for name, path in named if not path.name.startswith(".")]
    else:
        raise DataError(
            f"The {kind} of site {site.name} should be in {place.name}, but there is no such "
            f"folder.",
            "Check the configuration and --data.",
        )
    if not named:
        raise DataError(f"There are no {kind} for site {site.name} in {place.name}.")
    found: dict[str, Path] = {}
    for name, path in sorted(named):
        if name in found:
            raise DataError(
                f"Site {site.name} has two {kind} for case {name}: {found[name].name} and "
                f"{path.name}."
            )
        found[name] = path
    return found


def _is_volume(path: Path) -> bool:
    """A volume's file, or a folder (of a DICOM series); what systems hide is none of them."""
    return not path.name.startswith(".") and (path.is_dir() or path.name.endswith(EXTENSIONS))


def _stem(path: Path) -> str:
    extension = next((end for end in EXTENSIONS if path.name.endswith(end)), "")
    return path.name.removesuffix(extension)


def _matched(pattern: str, name: str) -> str:
    """What the wildcards of a glob pattern match in a name, joined."""
    parts = re.split(r"(\*|\?|\[[^\]]+\])", pattern)  # text, wildcard, text, wildcard ... text
    expression = "".join(
        f"({_WILDCARDS.get(part, part.replace('[!', '[^'))})" if index % 2 else re.escape(part)
        for index, part in enumerate(parts)
    )
    match = re.fullmatch(expression, name)
    return "".join(match.groups()) if match else name


def _from_list(site: SiteConfig, path: Path) -> tuple[list[CaseFiles], dict[str, str]]:
    """The cases of a CSV file, and their parts if it has a split column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"The list {path.name} of site {site.name} cannot be read.") from error
    if not rows:
        raise DataError(f"The list {path.name} of site {site.name} names no cases.")
    cases: list[CaseFiles] = []
    parts: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        where = f"Line {number} of the list {path.name}"
        if not row.get("image") or not row.get("label"):
            raise DataError(f"{where} lacks an image or a label.", "Columns: image,label[,split].")
        image = path.parent / row["image"]
        case = CaseFiles(_stem(image), image, path.parent / row["label"])
        if any(case.name == other.name for other in cases):
            raise DataError(f"{where} names the case {case.name} a second time.")
        cases.append(case)
        part = (row.get("split") or "").strip()
        if part:
            if part not in PARTS:
                raise DataError(f"{where}: split must be one of {', '.join(PARTS)}, got {part!r}.")
            parts[case.name] = part
    return cases, parts


def _is_wanted(site: SiteConfig, name: str) -> bool:
    return not site.cases or any(fnmatch.fnmatchcase(name, pattern) for pattern in site.cases)


def _chosen(site: SiteConfig, cases: Sequence[CaseFiles]) -> list[CaseFiles]:
    """Those that the configuration names; a pattern that finds nothing is a mistake."""
    for pattern in site.cases:
        if not any(fnmatch.fnmatchcase(case.name, pattern) for case in cases):
            raise DataError(f"Site {site.name} has no case {pattern}.")
    return [case for case in cases if _is_wanted(site, case.name)]


def _split_by_count(
    site: SiteConfig, cases: Sequence[CaseFiles], counts: tuple[int, int, int], seed: int
) -> SiteCases:
    if len(cases) < sum(counts):
        raise DataError(
            f"Site {site.name} has {len(cases)} cases, fewer than its split {list(counts)} needs "
            f"({sum(counts)})."
        )
    order = sorted(cases, key=lambda case: case.name)
    python_generator("split", seed, site.name).shuffle(order)
    ends = [sum(counts[: index + 1]) for index in range(3)]
    return SiteCases(
        tuple(order[: ends[0]]),
        tuple(order[ends[0] : ends[1]]),
        tuple(order[ends[1] : ends[2]]),
        tuple(order[ends[2] :]),
    )


def _split_by_name(
    site: SiteConfig, cases: Sequence[CaseFiles], names: Mapping[str, Sequence[str]]
) -> SiteCases:
    by_name = {case.name: case for case in cases}
    used = [name for part in PARTS for name in names[part]]
    for name in used:
        if name not in by_name:
            raise DataError(f"The split of site {site.name} names {name}, which is not there.")
        if used.count(name) > 1:
            raise DataError(f"The split of site {site.name} names {name} twice.")
    if not names["train"]:
        raise DataError(f"The split of site {site.name} has no training case.")
    train, validation, test = (tuple(by_name[name] for name in names[part]) for part in PARTS)
    left = tuple(case for case in cases if case.name not in used)
    return SiteCases(train, validation, test, left)
