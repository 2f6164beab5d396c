"""A member's weights on disk: safetensors, checked against what its network needs before use.

The bytes are read once, so that what was hashed is what is loaded.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from fedcross.errors import BundleError
from fedcross.model.architecture import Architecture
from fedcross.model.networks import build_network

MAX_HEADER_BYTES = 4_000_000


def expected_tensors(architecture: Architecture) -> dict[str, Tensor]:
    """Return the names, shapes and dtypes a member must have, as tensors without memory."""
    with torch.device("meta"):
        return dict(build_network(architecture).state_dict())


def encode(tensors: Mapping[str, Tensor], architecture: Architecture) -> bytes:
    """Serialise a member's state for a bundle.

    Raises
    ------
    BundleError
        If the tensors are not those of the architecture, or hold NaN or infinity.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _check_tensors(plain, expected_tensors(architecture), "member")
    return bytes(safetensors.torch.save(plain))


def decode(path: Path, sha256: str, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read a member, trusting nothing: size, hash, header, names, shapes, dtypes, finite numbers.

    Parameters
    ----------
    path
        The file. Only its name appears in messages.
    sha256
        What the manifest says of it.
    expected
        From `expected_tensors`.

    Raises
    ------
    BundleError
        At the first thing that is wrong; nothing was allocated for a tensor by then.
    """
    data = _read_bounded(path, expected)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise BundleError(
            f"{path.name} was changed: its SHA-256 is {found[:12]}..., the bundle says "
            f"{sha256[:12]}....",
            "Get the bundle again from where it came.",
        )
    _check_header(data, path.name)
    try:
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise BundleError(f"{path.name} is not a valid safetensors file: {error}.") from error
    _check_tensors(tensors, expected, path.name)
    return tensors


def _read_bounded(path: Path, expected: Mapping[str, Tensor]) -> bytes:
    limit = MAX_HEADER_BYTES + sum(t.numel() * t.element_size() for t in expected.values())
    if path.is_symlink():
        raise BundleError(f"{path.name} is a symbolic link, which a bundle must not hold.")
    try:
        size = path.stat().st_size
        if size > limit:
            raise BundleError(
                f"{path.name} has {size} bytes, but its network needs at most {limit}."
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BundleError(f"The bundle lacks {path.name}.") from error
    except OSError as error:
        raise BundleError(f"{path.name} cannot be read: {error.strerror}.") from error


def _check_header(data: bytes, name: str) -> None:
    """Refuse declared sizes that do not add up, before anything is allocated for them."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, MAX_HEADER_BYTES):
        raise BundleError(f"{name} is not a safetensors file.")
    try:
        header = json.loads(data[8 : 8 + length])
        declared = {
            key: (entry["shape"], entry["data_offsets"])
            for key, entry in header.items()
            if key != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(f"{name} is not a safetensors file.") from error
    room = len(data) - 8 - length
    for key, (shape, offsets) in declared.items():
        count = math.prod(shape) if all(isinstance(n, int) and n >= 0 for n in shape) else -1
        if not 0 <= count <= room or max(offsets, default=0) > room:
            raise BundleError(f"{name} declares tensor {key!r} larger than the file itself.")


def _check_tensors(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str
) -> None:
    missing, extra = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected)
    if missing or extra:
        kind, name = ("lacks", missing[0]) if missing else ("has an unknown tensor", extra[0])
        raise BundleError(f"{where} {kind} {name!r}, so it does not fit the bundle's network.")
    for name, tensor in tensors.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise BundleError(
                f"{where}: tensor {name!r} is {tensor.dtype} {tuple(tensor.shape)}, the bundle's "
                f"network needs {wanted.dtype} {tuple(wanted.shape)}."
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BundleError(f"{where}: tensor {name!r} holds NaN or infinite numbers.")
