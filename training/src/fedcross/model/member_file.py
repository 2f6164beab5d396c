"""The file of a member: whether it is an ordinary file, its size and its hash. This needs no torch."""

import hashlib
import stat
from pathlib import Path

from fedcross.errors import BundleError


def member_file_size(path: Path) -> int:
    """Return the size of a member's file in bytes.

    Parameters
    ----------
    path
        Safetensors file. Only its name appears in messages.

    Raises
    ------
    BundleError
        If the file is missing, cannot be read, or is a link or no ordinary file.
    """
    try:
        status = path.lstat()
    except FileNotFoundError as error:
        raise BundleError(f"The bundle lacks {path.name}.") from error
    except OSError as error:
        raise BundleError(f"{path.name} cannot be read: {error.strerror}.") from error
    if stat.S_ISLNK(status.st_mode):
        raise BundleError(f"{path.name} is a symbolic link, which a bundle must not hold.")
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would never end
        raise BundleError(f"{path.name} is not an ordinary file.")
    return status.st_size


def check_member_file(path: Path, sha256: str) -> None:
    """Check that a member's file is whole and unchanged; it is read in small pieces.

    Parameters
    ----------
    path
        Safetensors file. Only its name appears in messages.
    sha256
        SHA-256 (hex) from the manifest.

    Raises
    ------
    BundleError
        If the file is missing, cannot be read, is no ordinary file, or has another hash.
    """
    member_file_size(path)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path.name} cannot be read: {error.strerror}.") from error
    check_hash(found, sha256, path.name)


def check_hash(found: str, sha256: str, name: str) -> None:
    """Compare the SHA-256 (hex) of a member's file with that of the manifest.

    Raises
    ------
    BundleError
        If they differ; the message names the file.
    """
    if found != sha256:
        raise BundleError(
            f"{name} was changed: its SHA-256 is {found[:12]}..., but the bundle's manifest has "
            f"{sha256[:12]}....",
            "Get the bundle again from its source.",
        )
