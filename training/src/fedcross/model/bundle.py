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
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from fedcross.errors import BundleError, OutputError
from fedcross.model.archive import pack_folder, unpack_archive
from fedcross.model.card import LICENSE_TEXT, inference_config, metadata, model_card
from fedcross.model.manifest import Manifest, Member
from fedcross.model.networks import EnsembleNetwork, build_network
from fedcross.model.weights import decode, encode, expected_tensors

MAX_METADATA_BYTES = 4_000_000
METADATA = Path("configs") / "metadata.json"


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

    def __init__(self, path: Path, manifest: Manifest, *, temporary: bool = False) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = identity(manifest)
        self._temporary = temporary

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)

    def member_tensors(self, index: int) -> dict[str, Tensor]:
        """Read member `index`'s weights, checked against the manifest and the network.

        Raises
        ------
        BundleError
            If the file is missing, changed, or does not fit.
        """
        member = self.manifest.members[index]
        expected = expected_tensors(self.manifest.architecture)
        return decode(self.path / member.file, member.sha256, expected)

    def load_member(self, index: int, device: torch.device | str = "cpu") -> nn.Module:
        """Build member `index` in evaluation mode on `device`, without initialising it first."""
        tensors = self.member_tensors(index)
        with torch.device("meta"):
            network = build_network(self.manifest.architecture)
        network.load_state_dict(tensors, assign=True)
        return network.eval().requires_grad_(False).to(device)


def identity(manifest: Manifest) -> str:
    """Return the SHA-256 (hex) of the manifest's canonical JSON."""
    canonical = json.dumps(manifest.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def write_bundle(
    path: Path,
    manifest: Mapping[str, Any],
    members: Sequence[Mapping[str, Tensor]],
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
    if path.exists() and not (path / METADATA).is_file():
        raise OutputError(f"{path} exists and is not a bundle.", "Choose a new folder.")
    trails = visited or [(None, 0)] * len(members)
    checked = _validated({**manifest, "members": _placeholders(len(members))})
    encoded = [encode(tensors, checked.architecture) for tensors in members]
    entries = tuple(
        Member(
            file=f"models/member_{index}.safetensors",
            sha256=hashlib.sha256(data).hexdigest(),
            last_site=site,
            rounds=rounds,
        )
        for index, (data, (site, rounds)) in enumerate(zip(encoded, trails, strict=True))
    )
    final = checked.model_copy(update={"members": entries})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        _write_parts(partial, final, encoded, members, license_text)
        partial.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Bundle(path, final)


def open_bundle(path: Path) -> Bundle:
    """Open a bundle folder or a ``.zip`` of one; members are checked when they are loaded.

    Raises
    ------
    BundleError
        If there is none, it is unsafe, or its manifest is not one this version understands.
    """
    if path.is_file():
        unpacked = Path(tempfile.mkdtemp(prefix="fedcross-bundle-"))
        try:
            unpack_archive(path, unpacked)
            return Bundle(unpacked, _read_manifest(unpacked), temporary=True)
        except BaseException:
            shutil.rmtree(unpacked, ignore_errors=True)
            raise
    if not path.is_dir():
        raise BundleError(f"There is no bundle at {path}.", "Give a bundle folder or its .zip.")
    return Bundle(path, _read_manifest(path))


def verify_bundle(path: Path) -> Manifest:
    """Check all of a bundle: schema, hashes, every member's tensors.

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
    """Put a sound bundle into one zip; the same bundle gives the same bytes."""
    if path.is_file():
        raise BundleError(f"{path.name} is a file; only a bundle folder can be packed.")
    verify_bundle(path)
    pack_folder(path, zip_path)


def unpack_bundle(zip_path: Path, path: Path) -> Bundle:
    """Unpack a bundle's zip into a new folder, whole or not at all."""
    if path.exists():
        raise OutputError(f"{path} exists.", "Choose a new folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        unpack_archive(zip_path, partial)
        manifest = verify_bundle(partial)
        partial.chmod(0o755)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Bundle(path, manifest)


def _placeholders(count: int) -> list[dict[str, str]]:
    """Stand in for members while the rest of a manifest is checked."""
    return [
        {"file": f"models/member_{index}.safetensors", "sha256": "0" * 64} for index in range(count)
    ]


def _validated(fields: Mapping[str, Any]) -> Manifest:
    try:
        return Manifest.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        given = repr(first["input"])
        shown = f", got {given}" if len(given) < 80 else ""
        raise BundleError(
            f"The bundle's metadata is not valid: {where}: {first['msg']}{shown}."
        ) from error


def _read_manifest(folder: Path) -> Manifest:
    path = folder / METADATA
    try:
        if path.is_symlink() or path.stat().st_size > MAX_METADATA_BYTES:
            raise BundleError("The bundle's metadata.json is a link or larger than 4 MB.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{folder.name} is no bundle: it lacks configs/metadata.json.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError("The bundle's metadata.json cannot be read as JSON.") from error
    if not isinstance(content, dict) or not isinstance(content.get("fedcross"), dict):
        raise BundleError(
            "This is a MONAI bundle without a FedCross ensemble: metadata.json has no "
            '"fedcross" section.'
        )
    return _validated(content["fedcross"])


def _write_parts(
    folder: Path,
    manifest: Manifest,
    encoded: Sequence[bytes],
    members: Sequence[Mapping[str, Tensor]],
    license_text: str,
) -> None:
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
    torch.save({name: state[name] for name in names}, folder / "models" / "model.pt")
    _write_json(folder / METADATA, metadata(manifest))
    _write_json(folder / "configs" / "inference.json", inference_config(manifest))
    (folder / "docs" / "README.md").write_text(model_card(manifest), encoding="utf-8")
    (folder / "LICENSE").write_text(license_text, encoding="utf-8")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
