"""Write and read the weights of a member as safetensors, and check them against its network.

A file is read once, so that the bytes that are hashed are the bytes that are loaded. Some networks
(DynUNet) have several names for one tensor; it is stored once, under the first name.
"""

import hashlib
from collections.abc import Mapping, Set
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from fedcross.contract.parse import parse_json
from fedcross.errors import BundleError
from fedcross.model.architecture import Architecture
from fedcross.model.member_file import check_hash, member_file_size
from fedcross.model.network_state import first_names
from fedcross.model.networks import build_network

MAX_HEADER_BYTES = 4_000_000
_LENGTH_BYTES = 8
_DTYPES = {torch.float32: "F32", torch.int64: "I64"}  # all dtypes of the allowed networks


def expected_tensors(architecture: Architecture) -> dict[str, Tensor]:
    """Return the state dict of a network on the "meta" device: names, shapes and dtypes, no data.

    A tensor with several names is the same object under each name.
    """
    with torch.device("meta"):
        return dict(build_network(architecture).state_dict(keep_vars=True))


def encode(
    tensors: Mapping[str, Tensor], architecture: Architecture, where: str = "member"
) -> bytes:
    """Serialise the weights of a member as safetensors.

    Parameters
    ----------
    tensors
        State dict of the network; a tensor with several names needs the first one only.
    architecture
        Architecture of the network.
    where
        Name of the member in messages.

    Returns
    -------
    bytes
        Content of the safetensors file.

    Raises
    ------
    BundleError
        If the tensors do not fit the architecture, contain NaN or infinity, or differ between two
        names of one tensor.
    """
    expected = expected_tensors(architecture)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    stored = first_names(expected)
    plain |= {
        name: plain[first] for name, first in stored.items() if name not in plain and first in plain
    }
    _check_tensors(plain, expected, where)
    for name, first in stored.items():
        if not torch.equal(plain[name], plain[first]):
            raise BundleError(f"{where}: {name!r} and {first!r} are one tensor, but differ.")
    return bytes(safetensors.torch.save({name: plain[name] for name in set(stored.values())}))


def decode(path: Path, sha256: str, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the weights of a member and check size, hash, header, names, shapes, dtypes and values.

    The file is read only if it is not larger than the network needs. Tensors are created only if the
    header declares exactly the tensors of the network.

    Parameters
    ----------
    path
        Safetensors file. Only its name appears in messages.
    sha256
        SHA-256 (hex) from the manifest.
    expected
        Result of `expected_tensors`.

    Returns
    -------
    dict
        State dict with all names of `expected`.

    Raises
    ------
    BundleError
        At the first error found.
    """
    stored = first_names(expected)
    wanted = {name: expected[name] for name in stored.values()}
    data = _read_bounded(path, wanted)
    check_hash(hashlib.sha256(data).hexdigest(), sha256, path.name)
    _check_header(data, wanted, path.name)
    try:
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise BundleError(f"{path.name} is not a valid safetensors file.") from error
    _check_tensors(tensors, wanted, path.name)
    return {name: tensors[first] for name, first in stored.items()}


def _read_bounded(path: Path, wanted: Mapping[str, Tensor]) -> bytes:
    limit = MAX_HEADER_BYTES + sum(t.numel() * t.element_size() for t in wanted.values())
    size = member_file_size(path)
    if size > limit:
        raise BundleError(f"{path.name} has {size} bytes, but its network needs at most {limit}.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path.name} cannot be read: {error.strerror}.") from error


def _check_header(data: bytes, wanted: Mapping[str, Tensor], name: str) -> None:
    """Check that a header declares exactly the tensors of the network, before any is created."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    room = len(data) - _LENGTH_BYTES - length
    if len(data) < _LENGTH_BYTES or length > MAX_HEADER_BYTES or room < 0:
        raise BundleError(f"{name} is not a safetensors file.")
    try:
        header = parse_json(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    except ValueError as error:
        raise BundleError(f"{name} is not a safetensors file.") from error
    if not isinstance(header, dict) or not all(isinstance(v, dict) for v in header.values()):
        raise BundleError(f"{name} is not a safetensors file.")
    header.pop("__metadata__", None)
    _check_names(header.keys(), wanted.keys(), name)
    for key, entry in header.items():
        _check_declared(entry, wanted[key], room, f"{name}: tensor {key!r}")


def _check_declared(entry: Mapping[str, object], wanted: Tensor, room: int, where: str) -> None:
    """Check one entry of a header: its dtype and shape, and that its bytes lie inside the file."""
    shape, size = list(wanted.shape), wanted.numel() * wanted.element_size()
    if entry.get("dtype") != _DTYPES[wanted.dtype] or entry.get("shape") != shape:
        declared = f"{entry.get('dtype')} {entry.get('shape')}"
        if len(declared) > 80:
            declared = declared[:77] + "..."
        raise BundleError(
            f"{where} is declared as {declared}, but the bundle's network needs "
            f"{_DTYPES[wanted.dtype]} {shape}."
        )
    offsets = entry.get("data_offsets")
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(isinstance(offset, int) for offset in offsets)
        or not 0 <= offsets[0] <= offsets[1] <= room
        or offsets[1] - offsets[0] != size
    ):
        raise BundleError(f"{where} is declared outside the file or with a wrong size.")


def _check_tensors(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str
) -> None:
    _check_names(tensors.keys(), expected.keys(), where)
    for name, tensor in tensors.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise BundleError(
                f"{where}: tensor {name!r} is {tensor.dtype} {tuple(tensor.shape)}, the bundle's "
                f"network needs {wanted.dtype} {tuple(wanted.shape)}."
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BundleError(f"{where}: tensor {name!r} holds NaN or infinite numbers.")


def _check_names(names: Set[str], expected: Set[str], where: str) -> None:
    missing, extra = sorted(expected - names), sorted(names - expected)
    if missing or extra:
        kind, name = ("lacks", missing[0]) if missing else ("has an unknown tensor", extra[0][:80])
        raise BundleError(f"{where} {kind} {name!r}, so it does not fit the bundle's network.")
