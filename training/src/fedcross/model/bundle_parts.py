"""The files of a bundle folder: their names, and how they are written."""

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedcross.errors import OutputError
from fedcross.model.card import render_model_card
from fedcross.model.manifest import Manifest
from fedcross.model.metadata import METADATA
from fedcross.model.monai_files import build_inference_config, build_metadata

if TYPE_CHECKING:
    from torch import Tensor

PARTS = ("LICENSE", "configs", "docs", "models")
"""Files and folders at the top level of a bundle folder."""


def make_member_entry(index: int, sha256: str) -> dict[str, Any]:
    """Return the mandatory fields of a member in the manifest; `index` is from 0, `sha256` hex."""
    return {"file": f"models/member_{index}.safetensors", "sha256": sha256}


def check_replaceable(path: Path) -> None:
    """Check that nothing is at `path`, or a bundle without other files, which may be replaced.

    Raises
    ------
    OutputError
        If something else is there, or the bundle folder contains other files.
    """
    if not path.exists():
        return
    if not (path / METADATA).is_file():
        raise OutputError(f"{path} exists and is not a bundle.", "Choose a new folder.")
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in PARTS)
    if foreign:  # for example inputs and outputs of MONAI's runner
        raise OutputError(
            f"The bundle at {path} cannot be replaced: it also holds {foreign[0]}.",
            "Move that away or choose a new folder.",
        )


def write_parts(
    folder: Path,
    manifest: Manifest,
    encoded: Sequence[bytes],
    members: "Sequence[Mapping[str, Tensor]]",
    license_text: str,
) -> None:
    """Write all files of a bundle.

    Parameters
    ----------
    folder
        An empty folder.
    manifest
        The complete manifest.
    encoded
        The members as safetensors, in the order of the manifest.
    members
        The members' state dicts, in the same order.
    license_text
        Content of ``LICENSE``.

    Raises
    ------
    OSError
        If a file cannot be written, for example because the disk is full.
    """
    import torch

    from fedcross.model.network_state import first_names
    from fedcross.model.networks import EnsembleNetwork

    (folder / "models").mkdir()
    for entry, data in zip(manifest.members, encoded, strict=True):
        (folder / entry.file).write_bytes(data)
    with torch.device("meta"):
        ensemble = EnsembleNetwork(manifest.architecture, len(members))
    names = first_names(ensemble.state_dict(keep_vars=True))
    state = {
        f"members.{index}.{name}": tensor.detach().cpu().clone()
        for index, tensors in enumerate(members)
        for name, tensor in tensors.items()
    }
    # In memory first: on a full disk PyTorch's own writer raises errors that are no OSError.
    packed = BytesIO()
    torch.save({name: state[first] for name, first in names.items()}, packed)
    (folder / "models" / "model.pt").write_bytes(packed.getbuffer())
    write_descriptions(folder, manifest)
    (folder / "LICENSE").write_text(license_text, encoding="utf-8")


def write_descriptions(folder: Path, manifest: Manifest) -> None:
    """Write the files that follow from the manifest alone: the configurations and the model card.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    for part in ("configs", "docs"):
        (folder / part).mkdir()
    _write_json(folder / METADATA, build_metadata(manifest))
    _write_json(folder / "configs" / "inference.json", build_inference_config(manifest))
    (folder / "docs" / "README.md").write_text(render_model_card(manifest), encoding="utf-8")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
