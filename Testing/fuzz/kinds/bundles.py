"""Bundle folders: changed metadata, weights, headers of weights, and files of another sort.

An accepted bundle has the manifest that its file states, and segments a small volume.
"""

import hashlib
import json
import math
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

import fedcross
from fedcross.contract.plain_text import plain_text
from fedcross.model.architecture import DynUNetArchitecture
from fedcross.model.bundle import verify_bundle, write_bundle
from fedcross.model.card import render_model_card
from fedcross.model.manifest import Manifest
from fedcross.model.networks import build_network, initialise
from fuzz.kind import Input, Kind
from fuzz.mutate import Draw, change, change_json, composite, dump_json

METADATA, MEMBER, SECTION = "configs/metadata.json", "models/member_{}.safetensors", "fedcross"
NAME = "tiny"
_VOLUME = np.random.default_rng(0).normal(size=(8, 9, 10)).astype(np.float32)
_MEMORY_GB = 0.03
"""Memory limit of the segmentation: small, so that a bundle that needs more is refused soon."""
_MAX_PATCHES = 64
"""Bundles that need more patches are verified, but not segmented with: that takes too long."""


@cache
def files() -> dict[str, bytes]:
    """Return the files of a small sound bundle that FedCross reads."""
    architecture = DynUNetArchitecture(
        filters=(2, 2, 2), strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)), norm="batch", classes=2
    )
    weights = []
    for member in range(2):
        network = build_network(architecture)
        initialise(network, torch.Generator().manual_seed(member))
        weights.append(network.state_dict())
    manifest = {
        "name": "Tiny",
        "architecture": architecture.model_dump(),
        "preprocessing": {"spacing_mm": [1.0, 1.0, 1.0], "patch_size": [8, 8, 8]},
        "structures": [{"name": "Blob", "label": 1}],
        "provenance": {"created": "2026-01-01"},
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, NAME)
        write_bundle(folder, manifest, weights)
        names = (METADATA, MEMBER.format(0), MEMBER.format(1))
        return {name: (folder / name).read_bytes() for name in names}


def _changed(draw: Draw) -> Input:
    changed: dict[str, bytes | str | None] = dict(files())
    kind = draw(st.sampled_from(("json",) * 4 + ("bytes", "member", "sealed", "header", "sort")))
    content = json.loads(files()[METADATA])
    name = MEMBER.format(draw(st.integers(0, 1)))
    if kind == "json":
        content[SECTION] = change_json(draw, content[SECTION])
        changed[METADATA] = dump_json(draw, content)
    elif kind == "bytes":
        changed[METADATA] = change(draw, files()[METADATA])
    elif kind == "member":
        changed[name] = change(draw, files()[name])
    elif kind == "sort":
        name = draw(st.sampled_from(sorted(changed)))
        content = draw(st.sampled_from((None, "../elsewhere", "/dev/zero", name, b"", "missing")))
        changed[name] = content
        if content == "missing":
            del changed[name]
    else:
        data = files()[name]
        data = change(draw, data) if kind == "sealed" else _with_changed_header(draw, data)
        changed |= {name: data, METADATA: seal(content, name, data)}
    return Input(changed, ".")


def _with_changed_header(draw: Draw, data: bytes) -> bytes:
    end = 8 + int.from_bytes(data[:8], "little")
    header = dump_json(draw, change_json(draw, json.loads(data[8:end])))
    return len(header).to_bytes(8, "little") + header + data[end:]


def seal(metadata: dict[str, Any], name: str, data: bytes) -> bytes:
    """Return the metadata with the hash of a changed member."""
    for member in metadata[SECTION]["members"]:
        if member["file"] == name:
            member["sha256"] = hashlib.sha256(data).hexdigest()
    return json.dumps(metadata).encode()


def _patches(manifest: Manifest) -> float:
    """Return about how many patches the volume has."""
    steps = manifest.preprocessing
    sides = zip(_VOLUME.shape[::-1], steps.spacing_mm, steps.patch_size, strict=True)
    return math.prod(
        max(1.0, n / mm / size / max(1 - steps.overlap, 0.01)) for n, mm, size in sides
    )


def _read(path: Path) -> tuple[Manifest, fedcross.Segmentation | None]:
    manifest = verify_bundle(path)
    if _patches(manifest) > _MAX_PATCHES:
        return manifest, None
    return manifest, fedcross.segment(
        _VOLUME,
        path,
        spacing_mm=(1, 1, 1),
        device="cpu",
        backend="torch",
        max_memory_gb=_MEMORY_GB,
    )


def _verify(result: tuple[Manifest, fedcross.Segmentation | None], one: Input, path: Path) -> None:
    manifest, segmentation = result
    check_manifest(manifest, one.files[METADATA])
    if segmentation is None:
        return
    labels = {0, *(structure.label for structure in manifest.structures)}
    assert segmentation.labels.shape == _VOLUME.shape
    assert set(np.unique(segmentation.labels).tolist()) <= labels
    for probability in segmentation.probabilities.values():
        assert np.isfinite(probability).all()
        assert probability.min() >= 0
        assert probability.max() <= 1 + 1e-5


def check_manifest(manifest: Manifest, metadata: Any) -> None:
    """Check that a manifest has the values that the file states, and a card without hidden signs."""
    assert isinstance(metadata, bytes)
    stated = json.loads(metadata)[SECTION]
    assert _agrees(manifest.model_dump(mode="json"), stated), "the manifest is not that of the file"
    card = render_model_card(manifest)
    assert all(plain_text(line, len(line)) == line for line in card.split("\n"))


def _agrees(found: Any, stated: Any) -> bool:
    """Whether all stated values are found; further ones are defaults."""
    if isinstance(stated, dict):
        return isinstance(found, dict) and all(
            key in found and _agrees(found[key], value) for key, value in stated.items()
        )
    if isinstance(stated, list):
        return (
            isinstance(found, list)
            and len(found) == len(stated)
            and all(map(_agrees, found, stated))
        )
    return bool(found == stated)


KINDS = (
    Kind("bundle folder", lambda: [Input(dict(files()), ".")], composite(_changed), _read, _verify),
)
