"""The bundle: an ensemble as one folder (or one zip of it) that is safe to open.

Layout (also a MONAI Bundle)::

    configs/metadata.json    MONAI's fields and our manifest, under "fedcross"
    configs/inference.json   for `python -m monai.bundle run`; never read here
    models/member_0.safetensors ... member_{K-1}.safetensors
    models/model.pt          all members, for MONAI; never read here
    docs/README.md           the model card
    LICENSE

Only ``metadata.json`` (strict schema) and safetensors whose SHA-256 matches are ever read. Nothing
is unpickled and no configuration expression is evaluated.

PyTorch is imported where tensors are needed: a bundle can be opened without it.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fedcross.errors import BundleError, OutputError
from fedcross.model.archive import pack_parts, unpack_archive
from fedcross.model.card import LICENSE_TEXT, render_model_card
from fedcross.model.manifest import Manifest
from fedcross.model.metadata import METADATA, check_manifest, read_manifest
from fedcross.model.monai_files import build_inference_config, build_metadata
from fedcross.runtime.folder import new_folder

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PARTS = ("LICENSE", "configs", "docs", "models")


class Bundle:
    """An opened bundle: its manifest checked, its members loaded and checked one at a time.

    A context manager: leaving it removes what a zip was unpacked to.

    Attributes
    ----------
    path : Path
        The folder (of a zip: where it was unpacked).
    manifest : Manifest
        What it says about itself.
    sha256 : str
        Its identity: the hash of the manifest, which holds the hashes of the members.
    """

    def __init__(self, path: Path, manifest: Manifest, *, temporary: Path | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = hash_manifest(manifest)
        self._temporary = temporary

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def member_tensors(self, index: int) -> "dict[str, Tensor]":
        """Read member `index`'s weights, checked against the manifest and the network.

        Raises
        ------
        BundleError
            If the file is missing, changed, or does not fit.
        """
        from fedcross.model.weights import decode, expected_tensors

        member = self.manifest.members[index]
        expected = expected_tensors(self.manifest.architecture)
        return decode(self.path / member.file, member.sha256, expected)

    def load_member(self, index: int, device: "torch.device | str" = "cpu") -> "nn.Module":
        """Build member `index` in evaluation mode on `device`, without initialising it first."""
        import torch

        from fedcross.model.networks import build_network

        tensors = self.member_tensors(index)
        with torch.device("meta"):
            network = build_network(self.manifest.architecture)
        network.load_state_dict(tensors, assign=True)
        return network.eval().requires_grad_(False).to(device)


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
    """Write a bundle, whole or not at all.

    Parameters
    ----------
    path
        Folder to make. An existing bundle there is replaced; anything else there is refused.
    manifest
        Fields of `Manifest` without ``members``.
    members
        The members' state dicts: float32 weights, as their networks name them.
    visited
        For each member the site where it trained last and how many rounds it trained.
    license_text
        Contents of ``LICENSE``.

    Raises
    ------
    BundleError
        If the manifest or a member's tensors do not fit together.
    OutputError
        If the folder cannot be written.
    """
    from fedcross.model.weights import encode

    _refuse_to_replace_anything_but_a_bundle(path)
    fields = {**manifest, "members": [_entry(index, "0" * 64) for index in range(len(members))]}
    architecture = check_manifest(fields).architecture
    encoded = [
        encode(tensors, architecture, f"member {index}") for index, tensors in enumerate(members)
    ]
    trails = visited or [(None, 0)] * len(members)
    fields["members"] = [
        _entry(index, hashlib.sha256(data).hexdigest()) | {"last_site": site, "rounds": rounds}
        for index, (data, (site, rounds)) in enumerate(zip(encoded, trails, strict=True))
    ]
    final = check_manifest(fields)
    with new_folder(path) as partial:
        _write_parts(partial, final, encoded, members, license_text)
    return Bundle(path, final)


def open_bundle(path: Path) -> Bundle:
    """Open a bundle folder or a ``.zip`` of one; members are checked when they are loaded.

    Raises
    ------
    BundleError
        If there is none, it is unsafe, or its manifest is not one this version understands.
    """
    if path.is_dir():
        return Bundle(path, read_manifest(path, path.name))
    if not path.is_file():
        raise BundleError(f"There is no bundle at {path}.", "Give a bundle folder or its .zip.")
    unpacked = Path(mkdtemp(prefix="fedcross-bundle-"))
    try:
        unpack_archive(path, unpacked)
        folder = _bundle_in(unpacked)
        return Bundle(folder, read_manifest(folder, path.name), temporary=unpacked)
    except BaseException:
        shutil.rmtree(unpacked, ignore_errors=True)
        raise


def verify_bundle(path: Path) -> Manifest:
    """Check all of a bundle: schema, hashes, every member's tensors.

    Returns
    -------
    Manifest
        What the bundle says about itself.

    Raises
    ------
    BundleError
        At the first thing that is wrong.
    """
    with open_bundle(path) as bundle:
        for index in range(len(bundle.manifest.members)):
            bundle.member_tensors(index)
        return bundle.manifest


def pack_bundle(path: Path, zip_path: Path) -> None:
    """Put a sound bundle into one zip; the same bundle gives the same bytes.

    As MONAI's specification asks, the zip holds one folder, named after the bundle. What else lies
    beside the bundle's own parts, such as images that MONAI's runner was given, stays out of it.

    Raises
    ------
    BundleError
        If it is not a sound bundle folder.
    OutputError
        If the zip cannot be written.
    """
    if path.is_file():
        raise BundleError(f"{path.name} is a file; only a bundle folder can be packed.")
    if zip_path.absolute().is_relative_to(path.absolute()):
        raise OutputError(f"{zip_path} lies in the bundle that is to be packed.", "Move it out.")
    manifest = verify_bundle(path)
    pack_parts(path, PARTS, zip_path, manifest.slug)


def unpack_bundle(zip_path: Path, path: Path) -> Bundle:
    """Unpack a bundle's zip into a new folder, whole or not at all.

    Raises
    ------
    BundleError
        If the zip is unsafe or does not hold a sound bundle.
    OutputError
        If `path` exists or cannot be written.
    """
    if path.exists():
        raise OutputError(f"{path} exists.", "Choose a new folder.")
    if not zip_path.is_file():
        raise BundleError(f"There is no zip at {zip_path}.")
    with new_folder(path) as partial, TemporaryDirectory(dir=path.parent) as scratch:
        unpacked = Path(scratch) / "unpacked"
        unpacked.mkdir()
        unpack_archive(zip_path, unpacked)
        found = _bundle_in(unpacked)
        manifest = read_manifest(found, zip_path.name)
        verify_bundle(found)
        partial.rmdir()
        found.rename(partial)
    return Bundle(path, manifest)


def _bundle_in(unpacked: Path) -> Path:
    """Return what a zip was made of: what it holds, or the one folder in it that is a bundle."""
    inner = [folder for folder in sorted(unpacked.iterdir()) if (folder / METADATA).is_file()]
    return inner[0] if len(inner) == 1 and not (unpacked / METADATA).is_file() else unpacked


def _entry(index: int, sha256: str) -> dict[str, Any]:
    """Return what the manifest says of a member at least."""
    return {"file": f"models/member_{index}.safetensors", "sha256": sha256}


def _refuse_to_replace_anything_but_a_bundle(path: Path) -> None:
    if not path.exists():
        return
    if not (path / METADATA).is_file():
        raise OutputError(f"{path} exists and is not a bundle.", "Choose a new folder.")
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in PARTS)
    if foreign:  # for instance what MONAI's runner was given and has written
        raise OutputError(
            f"The bundle at {path} cannot be replaced: it also holds {foreign[0]}.",
            "Move that away or choose a new folder.",
        )


def _write_parts(
    folder: Path,
    manifest: Manifest,
    encoded: Sequence[bytes],
    members: "Sequence[Mapping[str, Tensor]]",
    license_text: str,
) -> None:
    import torch

    from fedcross.model.networks import EnsembleNetwork

    for part in ("configs", "models", "docs"):
        (folder / part).mkdir()
    for entry, data in zip(manifest.members, encoded, strict=True):
        (folder / entry.file).write_bytes(data)
    with torch.device("meta"):
        ensemble = EnsembleNetwork(manifest.architecture, len(members))
    names = ensemble.state_dict().keys()
    state = {
        f"members.{index}.{name}": tensor.detach().cpu().clone()
        for index, tensors in enumerate(members)
        for name, tensor in tensors.items()
    }
    with (folder / "models" / "model.pt").open("wb") as file:  # a full disk is then an OSError
        torch.save({name: state[name] for name in names}, file)
    _write_json(folder / METADATA, build_metadata(manifest))
    _write_json(folder / "configs" / "inference.json", build_inference_config(manifest))
    (folder / "docs" / "README.md").write_text(render_model_card(manifest), encoding="utf-8")
    (folder / "LICENSE").write_text(license_text, encoding="utf-8")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
