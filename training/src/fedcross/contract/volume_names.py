"""Names of files of volumes: their endings, and the name of a case."""

from pathlib import Path

ENDINGS = (".nii.gz", ".nii", ".hdr.gz", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd")
"""The ending of a volume's file, in lower case; of a pair of files that of the header."""


def is_volume_name(name: str) -> bool:
    """Whether a file's name ends like that of a volume, in upper or lower case; of a pair, ``.hdr``."""
    return name.lower().endswith(ENDINGS)


def stem(path: Path) -> str:
    """A volume's file name without its ending; the whole name if it has none of the `ENDINGS`."""
    ending = next((end for end in ENDINGS if path.name.lower().endswith(end)), "")
    return path.name[: len(path.name) - len(ending)]
