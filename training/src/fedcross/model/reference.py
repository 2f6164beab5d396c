"""Convert checkpoints of the authors' implementation (DIAL-RPI/FedCross) to bundles."""

import datetime
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from fedcross.errors import BundleError
from fedcross.model.architecture import UNetArchitecture
from fedcross.model.bundle import Bundle, write_bundle
from fedcross.runtime.versions import package_versions
from fedcross.volumes.structure import Code

_MEMBER_KEY = re.compile(r"local_model_(\d+)_state_dict")
PROSTATE = Code(value="41216001", meaning="Prostate")


def import_reference_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    spacing_mm: tuple[float, float, float] = (0.5, 0.5, 1.0),
    patch_size: tuple[int, int, int] = (160, 160, 32),
    structure: str = "Prostate",
) -> Bundle:
    """Convert a ``.pth.tar`` file of the reference implementation to a bundle.

    The members are the entries ``local_model_0_state_dict``, ``local_model_1_state_dict`` ... Their
    parameter names are kept, without the prefix ``module.`` that DataParallel adds. The number of
    channels and classes follows from the tensors. The file is loaded with ``weights_only=True``, so
    that no code in it is run.

    Parameters
    ----------
    checkpoint
        Checkpoint file.
    out
        Bundle folder to write.
    spacing_mm
        Voxel spacing in mm, (x, y, z), with which the checkpoint was trained. The default is that of
        the reference configuration.
    patch_size
        Voxels of a patch, (x, y, z), with which the checkpoint was trained. The default is that of the
        reference configuration.
    structure
        Name of the segmented structure. If the checkpoint has more classes, the further structures are
        named "<name> 2", "<name> 3" ...

    Returns
    -------
    Bundle
        The bundle written.

    Raises
    ------
    BundleError
        If the file does not exist or is not such a checkpoint.
    OutputError
        If the bundle cannot be written.
    """
    members = _find_members(_load(checkpoint), checkpoint.name)
    architecture = _infer_architecture(members[0], checkpoint.name)
    structures = [
        {
            "name": structure if label == 1 else f"{structure} {label}",
            "label": label,
            **({"type": PROSTATE.model_dump()} if structure.casefold() == "prostate" else {}),
        }
        for label in range(1, architecture.classes)
    ]
    manifest = {
        "name": f"{structure} (imported)",
        "description": "Imported from a checkpoint of the FedCross authors' implementation.",
        "architecture": architecture.model_dump(mode="json"),
        "preprocessing": {
            "spacing_mm": spacing_mm,
            "patch_size": patch_size,
            "modality": "MR" if structure.casefold() == "prostate" else "",
            "channels": _number_channels(architecture.in_channels),
        },
        "structures": structures,
        "provenance": {
            "created": datetime.date.today().isoformat(),
            "source": "DIAL-RPI/FedCross checkpoint",
            "packages": package_versions(),
        },
    }
    return write_bundle(out, manifest, members)


def _number_channels(count: int) -> list[str]:
    """Return "Channel 1", "Channel 2" ...; empty for one channel, which needs no name."""
    return [f"Channel {number}" for number in range(1, count + 1)] if count > 1 else []


def _load(checkpoint: Path) -> dict[str, Any]:
    if not checkpoint.is_file():
        raise BundleError(f"There is no checkpoint at {checkpoint}.")
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise BundleError(
            f"{checkpoint.name} is no checkpoint that can be loaded without running code from it."
        ) from error
    if not isinstance(content, dict):
        raise BundleError(f"{checkpoint.name} holds a {type(content).__name__}, not a checkpoint.")
    return content


def _numpy_scalars() -> list[Any]:
    """Return the functions and classes that unpickle a NumPy number; they run no code of the file.

    The authors' checkpoints store the best validation score as a NumPy number. The module of the
    function differs between NumPy 1 and 2, and a file may contain either name.
    """
    scalar = np.float64(0).__reduce__()[0]
    names = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
    kinds = {type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32)}
    return [*((scalar, name) for name in names), np.dtype, *kinds]


def _find_members(content: dict[str, Any], name: str) -> list[dict[str, Tensor]]:
    numbered = sorted(
        (int(match[1]), state)
        for key, state in content.items()
        if isinstance(key, str) and (match := _MEMBER_KEY.fullmatch(key))
    )
    if not numbered:
        raise BundleError(
            f"{name} has no entry local_model_0_state_dict, so it is not a checkpoint of the "
            "reference implementation."
        )
    members = []
    for index, state in numbered:
        if not isinstance(state, dict) or not all(
            isinstance(tensor, Tensor) for tensor in state.values()
        ):
            raise BundleError(f"{name}: local_model_{index}_state_dict holds no tensors.")
        members.append({key.removeprefix("module."): tensor for key, tensor in state.items()})
    return members


def _infer_architecture(member: dict[str, Tensor], name: str) -> UNetArchitecture:
    last, first = member.get("outconv.weight"), member.get("enc1.conv.conv.0.weight")
    if last is None or first is None or last.ndim != 5 or first.ndim != 5:
        raise BundleError(f"{name} holds another network than the reference U-Net.")
    try:
        return UNetArchitecture.model_validate(
            {
                "in_channels": first.shape[1],
                "base_channels": first.shape[0],
                "classes": last.shape[0],
                "norm": "batch",
            }
        )
    except ValidationError as error:
        raise BundleError(
            f"{name} holds a U-Net with {first.shape[1]} input channels, {first.shape[0]} base "
            f"channels and {last.shape[0]} classes, which is not supported."
        ) from error
