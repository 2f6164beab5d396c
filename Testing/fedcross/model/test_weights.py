import hashlib
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from fedcross.errors import BundleError
from fedcross.model.architecture import DynUNetArchitecture
from fedcross.model.bundle import Bundle, verify_bundle, write_bundle
from fedcross.model.networks import build_network
from fedcross.model.weights import encode


def edit_manifest(bundle: Bundle, change: Callable[[dict[str, Any]], None]) -> None:
    path = bundle.path / "configs" / "metadata.json"
    content = json.loads(path.read_text())
    change(content["fedcross"])
    path.write_text(json.dumps(content))


def replace_member(bundle: Bundle, data: bytes, *, update_hash: bool = True) -> None:
    """Replace the file of member 0, and by default also its hash in the manifest."""
    (bundle.path / "models" / "member_0.safetensors").write_bytes(data)
    if update_hash:
        digest = hashlib.sha256(data).hexdigest()
        edit_manifest(bundle, lambda m: m["members"][0].update(sha256=digest))


def state(bundle: Bundle) -> dict[str, torch.Tensor]:
    return bundle.member_tensors(0)


def test_a_changed_byte_is_refused(bundle: Bundle) -> None:
    path = bundle.path / "models" / "member_1.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"member_1\.safetensors was changed"):
        verify_bundle(bundle.path)


def test_a_missing_member_is_named(bundle: Bundle) -> None:
    (bundle.path / "models" / "member_1.safetensors").unlink()
    with pytest.raises(BundleError, match=r"lacks member_1\.safetensors"):
        verify_bundle(bundle.path)


def test_a_member_that_is_a_link_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    path = bundle.path / "models" / "member_0.safetensors"
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(BundleError, match="symbolic link"):
        verify_bundle(bundle.path)


def test_a_tensor_declared_larger_than_its_file_is_refused_before_it_is_allocated(
    bundle: Bundle,
) -> None:
    whole = safetensors.torch.save(state(bundle))
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    entry = header["enc1.conv.conv.0.weight"]
    for changed, reason in (
        ({"shape": [25 * 10**9], "data_offsets": [0, 10**11]}, "declared as F32"),
        ({"data_offsets": [0, 10**11]}, "outside the file"),
        ({"data_offsets": [-4, entry["data_offsets"][1]]}, "outside the file"),
        ({"data_offsets": [0]}, "outside the file"),
    ):
        text = json.dumps(header | {"enc1.conv.conv.0.weight": entry | changed}).encode()
        replace_member(bundle, struct.pack("<Q", len(text)) + text + whole[8 + length :])
        with pytest.raises(BundleError, match=reason):
            verify_bundle(bundle.path)


def test_a_file_larger_than_its_network_needs_is_not_read(bundle: Bundle) -> None:
    path = bundle.path / "models" / "member_0.safetensors"
    with path.open("wb") as file:
        file.truncate(100 * 10**9)  # sparse: 100 GB declared, nothing on disk
    with pytest.raises(BundleError, match="100000000000 bytes"):
        verify_bundle(bundle.path)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("executed", "w"))


def test_a_pickle_named_safetensors_is_refused_and_not_executed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    replace_member(bundle, pickle.dumps(_Bomb()))
    with pytest.raises(BundleError, match="not a safetensors file"):
        verify_bundle(bundle.path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("header", [b"null", b"[]", b'{"a": 1}', b'{"a": {"shape": "x"}}', b"\xff"])
def test_an_invalid_safetensors_header_is_refused(bundle: Bundle, header: bytes) -> None:
    replace_member(bundle, struct.pack("<Q", len(header)) + header)
    with pytest.raises(BundleError, match="safetensors"):
        verify_bundle(bundle.path)


def test_tensors_of_another_network_are_refused(bundle: Bundle) -> None:
    tensors = state(bundle)
    name = "outconv.bias"
    for changed, reason in (
        ({k: v for k, v in tensors.items() if k != name}, "lacks"),
        ({**tensors, "extra": torch.zeros(1)}, "unknown tensor"),
        ({**tensors, name: torch.zeros(3)}, r"declared as F32 \[3\]"),
        ({**tensors, name: tensors[name].double()}, "declared as F64"),
        ({**tensors, name: torch.full_like(tensors[name], torch.nan)}, "NaN"),
    ):
        replace_member(bundle, safetensors.torch.save(changed))
        with pytest.raises(BundleError, match=reason):
            verify_bundle(bundle.path)


def test_weights_that_are_not_finite_are_not_written(bundle: Bundle) -> None:
    tensors = state(bundle)
    tensors["outconv.bias"] = torch.full_like(tensors["outconv.bias"], torch.inf)
    with pytest.raises(BundleError, match="NaN or infinite"):
        encode(tensors, bundle.manifest.architecture)


def test_a_tensor_with_two_names_is_stored_once_and_read_under_both(tmp_path: Path) -> None:
    architecture = DynUNetArchitecture(
        filters=(8, 16, 16), strides=((1, 1, 1), (2, 2, 2), (2, 2, 2))
    )
    tensors = build_network(architecture).state_dict()
    preprocessing = {"spacing_mm": (1.0, 1.0, 1.0), "patch_size": (16, 16, 16)}
    fields = {
        "name": "DynUNet",
        "architecture": architecture.model_dump(mode="json"),
        "preprocessing": preprocessing,
        "structures": [{"name": "Organ", "label": 1}],
        "provenance": {"created": "2026-01-31"},
    }
    bundle = write_bundle(tmp_path / "dynunet", fields, [tensors])
    with safetensors.safe_open(bundle.path / "models" / "member_0.safetensors", "pt") as stored:
        assert len(list(stored.keys())) < len(tensors)
    read = bundle.member_tensors(0)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
