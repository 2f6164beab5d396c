"""Write a copy of a bundle with another manifest: the same members, other knowledge about them."""

import shutil
from pathlib import Path

from fedcross.errors import OutputError
from fedcross.model.bundle import Bundle
from fedcross.model.bundle_parts import PARTS, check_replaceable, write_descriptions
from fedcross.model.manifest import Manifest
from fedcross.model.metadata import METADATA
from fedcross.runtime.files.archive import pack_parts
from fedcross.runtime.files.atomic import atomic_folder, scratch_folder
from fedcross.runtime.files.folders import make_folder
from fedcross.runtime.files.walk import real_path

ZIP = ".zip"
_FOR_OTHERS = ("models/model.pt", "LICENSE")  # FedCross does not need them


def check_copy(path: Path, out: Path) -> None:
    """Check that a copy of the bundle at `path` can be written to `out`.

    Raises
    ------
    OutputError
        If both are the same, one lies in the other, or something other than a bundle is at `out`.
    """
    source, target = real_path(path), real_path(out)
    if source == target or target.is_relative_to(source) or source.is_relative_to(target):
        raise OutputError(
            f"{out} is the bundle that is read, or lies in it.",
            "Choose another path for the result.",
        )
    if out.suffix != ZIP:
        check_replaceable(out)
    elif out.is_dir():
        raise OutputError(f"{out} is a folder.", "Choose another name for the zip.")


def write_copy(bundle: Bundle, manifest: Manifest, out: Path) -> None:
    """Write a copy of a bundle with another manifest; it appears when it is complete.

    Parameters
    ----------
    bundle
        The opened bundle; its members are checked first.
    manifest
        Manifest with the same members.
    out
        Folder, or zip if the name ends in ``.zip``; a bundle that is there is replaced.

    Raises
    ------
    BundleError
        If a member's file is missing or was changed.
    OutputError
        If the copy cannot be written.
    """
    for index in range(len(bundle.manifest.members)):
        bundle.member_tensors(index)
    if out.suffix != ZIP:
        with atomic_folder(out) as partial:
            _fill(bundle, manifest, partial)
        return
    make_folder(out.parent)
    with scratch_folder(out) as folder:
        _fill(bundle, manifest, folder)
        pack_parts(folder, PARTS, out, manifest.slug)


def _fill(bundle: Bundle, manifest: Manifest, folder: Path) -> None:
    """Write all files of the copy into an empty folder."""
    (folder / "models").mkdir()
    for name in (*(member.file for member in manifest.members), *_FOR_OTHERS):
        source = bundle.path / name
        if source.is_file() and not source.is_symlink():
            shutil.copyfile(source, folder / name)
    write_descriptions(folder, manifest)


def copy_essentials(bundle: Bundle, folder: Path) -> None:
    """Copy what FedCross reads of a bundle to a new folder: the metadata and the members."""
    for file in (METADATA, *(Path(member.file) for member in bundle.manifest.members)):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.path / file, folder / file)
