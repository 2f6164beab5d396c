"""Folders of a site's data."""

from pathlib import Path

from fedcross.errors import DataError


def require_folder(root: Path) -> None:
    """Raise DataError unless `root` is a folder."""
    if not root.is_dir():
        raise DataError(
            f"A site's data folder {root.name} does not exist.",
            "Check root in the configuration, and --data.",
        )
