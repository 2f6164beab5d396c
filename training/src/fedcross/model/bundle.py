"""Read, write and verify bundles: an ensemble as one folder, or as one zip of it.

Layout of the folder, which is also a MONAI Bundle::

    configs/metadata.json    MONAI's fields, and the manifest under the key "fedcross"
    configs/inference.json   for `python -m monai.bundle run`; never read here
    models/member_0.safetensors ... member_{K-1}.safetensors
    models/model.pt          all members, for MONAI; never read here
    docs/README.md           the model card
    LICENSE

A bundle from an unknown source is safe to open: only ``metadata.json`` (with a strict schema) and
safetensors with a matching SHA-256 are read. Nothing is unpickled, and no configuration expression is
evaluated. PyTorch is imported only if tensors are needed, so a bundle can be opened without it. A
network of another package is imported only if this process allows that package, see
`fedcross.runtime.plugins`.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from fedcross.errors import BundleError
from fedcross.model.architecture import CustomArchitecture
from fedcross.model.bundle_parts import check_replaceable, make_member_entry, write_parts
from fedcross.model.card import LICENSE_TEXT
from fedcross.model.manifest import Manifest
from fedcross.model.metadata import (
    check_manifest,
    find_bundle,
    read_manifest,
    read_zip_manifest,
)
from fedcross.runtime.files.archive import unpack_archive
from fedcross.runtime.files.atomic import atomic_folder

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Bundle(AbstractContextManager["Bundle"]):
    """An open bundle with a checked manifest; members are checked when they are loaded.

    Used as a context manager, it removes at the end the temporary folder to which a zip was unpacked.

    Attributes
    ----------
    path : Path
        The bundle folder; for a zip the folder to which it was unpacked.
    manifest : Manifest
        The checked manifest.
    sha256 : str
        Identity of the bundle: SHA-256 (hex) of the manifest, which contains the members' hashes.
    """

    def __init__(self, path: Path, manifest: Manifest, *, temporary: Path | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = hash_manifest(manifest)
        self._temporary = temporary

    def __exit__(self, *exception: object) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def member_tensors(self, index: int) -> "dict[str, Tensor]":
        """Return the weights of member `index` (from 0) as a state dict on the CPU.

        Raises
        ------
        BundleError
            If the file is missing, was changed, or does not fit the network.
        """
        from fedcross.model.weights import decode, expected_tensors

        member = self.manifest.members[index]
        expected = expected_tensors(self.manifest.architecture)
        return decode(self.path / member.file, member.sha256, expected)

    def load_member(self, index: int, device: "torch.device | str" = "cpu") -> "nn.Module":
        """Return the network of member `index` (from 0) in evaluation mode on `device`.

        Raises
        ------
        BundleError
            If the file is missing, was changed, or does not fit the network.
        PluginError
            If the network is code of another package that is not installed, not allowed, or does not
            work.
        """
        import torch

        from fedcross.model.custom_network import check_outputs
        from fedcross.model.networks import build_network

        tensors = self.member_tensors(index)
        with torch.device("meta"):  # no memory and no initialisation for weights that are replaced
            network = build_network(self.manifest.architecture)
        network.load_state_dict(tensors, assign=True)
        network.eval().requires_grad_(False)
        if isinstance(self.manifest.architecture, CustomArchitecture):
            check_outputs(network, self.manifest.architecture)
        return network.to(device)


def hash_manifest(manifest: Manifest) -> str:
    """Return the SHA-256 (hex) of the manifest's canonical JSON."""
    canonical = json.dumps(manifest.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_bundle(
    path: Path,
    manifest: Mapping[str, Any],
    members: "Sequence[Mapping[str, Tensor]]",
    *,
    visited: Sequence[tuple[str | None, int]] | None = None,
    license_text: str = LICENSE_TEXT,
) -> Bundle:
    """Write a bundle folder. It is written under a temporary name and renamed when it is complete.

    Parameters
    ----------
    path
        Bundle folder to write. An existing bundle is replaced; anything else at this path is refused.
    manifest
        Fields of `Manifest` without ``members``.
    members
        State dict of each member: float32 weights with the names of the network's parameters.
    visited
        For each member the name of the site where it was trained last (or None), and its number of
        rounds. None means unknown.
    license_text
        Content of ``LICENSE``.

    Returns
    -------
    Bundle
        The bundle written.

    Raises
    ------
    BundleError
        If the manifest is invalid or a member's tensors do not fit it.
    OutputError
        If the folder cannot be written or something other than a bundle is there.
    """
    from fedcross.model.weights import encode

    check_replaceable(path)
    fields = {
        **manifest,
        "members": [make_member_entry(index, "0" * 64) for index in range(len(members))],
    }
    architecture = check_manifest(fields).architecture
    encoded = [
        encode(tensors, architecture, f"member {index}") for index, tensors in enumerate(members)
    ]
    visits = visited or [(None, 0)] * len(members)
    fields["members"] = [
        make_member_entry(index, hashlib.sha256(data).hexdigest())
        | {"last_site": site, "rounds": rounds}
        for index, (data, (site, rounds)) in enumerate(zip(encoded, visits, strict=True))
    ]
    final = check_manifest(fields)
    with atomic_folder(path) as partial:
        write_parts(partial, final, encoded, members, license_text)
    return Bundle(path, final)


def open_bundle(path: Path) -> Bundle:
    """Open a bundle folder, or a ``.zip`` of one, which is unpacked to a temporary folder.

    Raises
    ------
    BundleError
        If there is no bundle, the zip is unsafe, or the manifest is invalid or of another version.
    """
    name = path.name or path.absolute().name
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise BundleError(f"The bundle {path} cannot be read: {error.strerror}.") from error
    if is_folder:
        return Bundle(path, read_manifest(path, name))
    if not is_file:
        raise BundleError(f"There is no bundle at {path}.", "Give a bundle folder or its .zip.")
    unpacked = Path(mkdtemp(prefix="fedcross-bundle-"))
    try:
        unpack_archive(path, unpacked, lambda archive: read_zip_manifest(archive, name))
        folder = find_bundle(unpacked)
        return Bundle(folder, read_manifest(folder, name), temporary=unpacked)
    except BaseException:
        shutil.rmtree(unpacked, ignore_errors=True)
        raise


def verify_bundle(path: Path) -> Manifest:
    """Check a whole bundle, folder or zip: the manifest, the hashes, and every member's tensors.

    Returns
    -------
    Manifest
        The manifest of the bundle.

    Raises
    ------
    BundleError
        At the first error found.
    """
    with open_bundle(path) as bundle:
        for index in range(len(bundle.manifest.members)):
            bundle.member_tensors(index)
        return bundle.manifest
