"""Pack a bundle folder into a zip, and unpack such a zip to a bundle folder."""

from pathlib import Path

from fedcross.errors import BundleError, OutputError
from fedcross.model.bundle import Bundle, verify_bundle
from fedcross.model.bundle_parts import PARTS
from fedcross.model.metadata import find_bundle, read_manifest, read_zip_manifest
from fedcross.runtime.files.archive import pack_parts, unpack_archive
from fedcross.runtime.files.atomic import atomic_folder, scratch_folder


def pack_bundle(path: Path, zip_path: Path) -> None:
    """Verify a bundle folder and pack it into a zip. The same bundle always gives the same bytes.

    As MONAI's specification requires, the zip contains one folder named after the bundle. Files that
    are not part of the bundle, such as images for MONAI's runner, are not packed.

    Parameters
    ----------
    path
        Bundle folder.
    zip_path
        Zip file to write; must not lie in the bundle folder.

    Raises
    ------
    BundleError
        If the path is a file or the bundle is not valid.
    OutputError
        If the zip lies in the bundle folder or cannot be written.
    """
    if path.is_file():
        raise BundleError(f"{path.name} is a file; only a bundle folder can be packed.")
    if zip_path.absolute().is_relative_to(path.absolute()):
        raise OutputError(f"{zip_path} lies in the bundle that is to be packed.", "Move it out.")
    manifest = verify_bundle(path)
    pack_parts(path, PARTS, zip_path, manifest.slug)


def unpack_bundle(zip_path: Path, path: Path) -> Bundle:
    """Unpack the zip of a bundle into a new folder and verify it.

    The folder is written under a temporary name and renamed when it is complete.

    Parameters
    ----------
    zip_path
        Zip file of a bundle.
    path
        Bundle folder to write; must not exist.

    Raises
    ------
    BundleError
        If there is no zip, it is unsafe, or it contains no valid bundle.
    OutputError
        If `path` exists or cannot be written.
    """
    if path.exists():
        raise OutputError(f"{path} exists.", "Choose a new folder.")
    if not zip_path.is_file():
        raise BundleError(f"There is no zip at {zip_path}.")
    with atomic_folder(path, replace=False) as partial, scratch_folder(path) as unpacked:
        unpack_archive(
            zip_path, unpacked, lambda archive: read_zip_manifest(archive, zip_path.name)
        )
        found = find_bundle(unpacked)
        manifest = read_manifest(found, zip_path.name)
        verify_bundle(found)
        partial.rmdir()
        found.rename(partial)
    return Bundle(path, manifest)
