"""A bundle's members in OpenVINO's own form, converted once and kept in the user's cache folder.

What lies in the cache is named after the bundle's identity, OpenVINO's version and the form kept here;
it carries its own hashes and is made anew when they do not match. Several processes may convert at the
same time: whoever comes second throws its own away.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from fedcross.model.bundle import Bundle

CACHE_VARIABLE = "FEDCROSS_CACHE"
MAX_CACHE_BYTES = 4 * 1024**3
_FORM = 1
_GRAPH, _WEIGHTS, _HASHES = "model.xml", "model.bin", "sha256.json"


@cache
def openvino() -> Any:
    """Import OpenVINO with its telemetry off: it reports its very import to its makers otherwise."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def converted_member(bundle: Bundle, index: int) -> tuple[bytes, bytes]:
    """Return member `index` as OpenVINO reads it: the graph's description and the weights.

    Raises
    ------
    BundleError
        If it has to be converted and its weights are missing, changed, or do not fit.
    """
    version = openvino().get_version().split("-")[0]
    kept = cache_folder() / f"{bundle.sha256[:32]}-{version}-{_FORM}" / f"member_{index}"
    found = _read(kept)
    if found is None:
        found = _convert(bundle, index)
        _keep(found, kept)
    return found


def cache_folder() -> Path:
    """Return where converted members are kept: ``$FEDCROSS_CACHE``, or the system's usual place."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "fedcross" / "openvino"


def _read(kept: Path) -> tuple[bytes, bytes] | None:
    """Return what the cache holds, or None if that is nothing or damaged."""
    try:
        hashes = json.loads((kept / _HASHES).read_text(encoding="utf-8"))
        graph, weights = (kept / _GRAPH).read_bytes(), (kept / _WEIGHTS).read_bytes()
        whole = hashes == [_sha256(graph), _sha256(weights)]
    except (OSError, ValueError):
        return None
    if not whole:
        shutil.rmtree(kept, ignore_errors=True)
        return None
    return graph, weights


def _convert(bundle: Bundle, index: int) -> tuple[bytes, bytes]:
    ov = openvino()
    # Here and not above: the converted members run without PyTorch.
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    network = bundle.load_member(index)
    example = torch.zeros(1, 1, *bundle.manifest.preprocessing.patch_size[::-1])
    frontend = FrontEndManager().load_by_framework("pytorch")
    with torch.inference_mode(), _quiet():
        decoder = TorchScriptPythonDecoder(network, example_input=example)
        model = frontend.convert(frontend.load(decoder))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _GRAPH
        ov.save_model(model, str(path), compress_to_fp16=False)
        return path.read_bytes(), path.with_name(_WEIGHTS).read_bytes()


def _keep(converted: tuple[bytes, bytes], kept: Path) -> None:
    """Put a converted member into the cache; where that cannot be written it is simply not kept."""
    graph, weights = converted
    try:
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=kept.parent))
    except OSError:
        return
    try:
        (partial / _GRAPH).write_bytes(graph)
        (partial / _WEIGHTS).write_bytes(weights)
        (partial / _HASHES).write_text(json.dumps([_sha256(graph), _sha256(weights)]))
        partial.rename(kept)
        _trim(kept.parent.parent, spare=kept.parent)
    except OSError:  # a full disk, or another process was first
        return
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _trim(folder: Path, spare: Path) -> None:
    """Remove what has not been made for longest until the cache is small enough."""
    made = sorted((entry for entry in folder.iterdir() if entry != spare), key=_made)
    sizes = {entry: _size(entry) for entry in [*made, spare]}
    for entry in made:
        if sum(sizes.values()) <= MAX_CACHE_BYTES:
            return
        shutil.rmtree(entry, ignore_errors=True)
        del sizes[entry]


def _made(entry: Path) -> float:
    return entry.stat().st_mtime


def _size(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch's warnings about tracing from users; the result is checked by tests."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
