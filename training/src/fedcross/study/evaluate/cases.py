"""The labelled cases of an evaluation, from a list file."""

from collections.abc import Collection
from pathlib import Path

from fedcross.calibration.labelled_cases import LabelledCase, check_choice
from fedcross.errors import DataError
from fedcross.model.manifest import Manifest
from fedcross.training.data.sources.lists import read_list
from fedcross.training.data.splits import PARTS
from fedcross.training.data.volumes import CaseFiles, ImageFile


def find_listed_cases(
    path: Path, manifest: Manifest, *, parts: Collection[str] = ("test",)
) -> list[LabelledCase]:
    """Return the cases of a list; no image is read.

    Parameters
    ----------
    path
        CSV or JSON, see `fedcross.training.data.sources.lists.read_list`. The values in its label files
        are the labels of the bundle. The name of the file is the site, and a case without a part is a
        test case.
    manifest
        Manifest of the bundle.
    parts
        Parts to use: ``train``, ``validation``, ``test``.

    Raises
    ------
    ConfigError
        If a part is unknown.
    DataError
        If the list cannot be read, an entry is not complete, or there is no case in these parts.
    """
    check_choice("part", parts, PARTS)
    channels = manifest.preprocessing.channel_names
    values = {structure.label: structure.label for structure in manifest.structures}
    cases = [
        LabelledCase(
            site=path.stem,
            part=each.part or "test",
            files=CaseFiles(
                each.name,
                each.image,
                each.label,
                patient=each.patient,
                further=tuple(ImageFile(further) for further in each.further),
            ),
            label_map=values,
        )
        for each in read_list(path, channels)
        if (each.part or "test") in parts
    ]
    if not cases:
        raise DataError(
            f"The list {path.name} has no case in the parts {', '.join(parts)}.",
            "Choose another part with --part.",
        )
    return cases
