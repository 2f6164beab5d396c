"""A bundle's members in OpenVINO's own form, converted once and kept in the user's cache folder.

What lies in the cache is named after the bundle's identity, OpenVINO's version and the form kept here;
it carries its own hashes and its member's, and is made anew when they do not match. It is the same for
every processor: OpenVINO compiles it for the one at hand in a fraction of a second. Several processes
may convert at the same time: whoever comes second throws its own away.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from fedcross.model.bundle import Bundle

CACHE_VARIABLE = "FEDCROSS_CACHE"
MAX_CACHE_BYTES = 4 * 1024**3
_FORM = 3
_GRAPH, _WEIGHTS, _HASHES = "model.xml", "model.bin", "sha256.json"
_PARTIAL = ".partial-"
_ABANDONED_S = 3600
"""What is half-written for so long was left by a process that was killed."""


@cache
def openvino() -> Any:
    """Import OpenVINO with its telemetry off: it reports its very import to its makers otherwise.

    Nor its command-line converter, which takes longer to import than the rest and is what has the
    telemetry; OpenVINO does without it where it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    converter = "openvino.tools.ovc"
    left_out = sys.modules.setdefault(converter, None) is None  # type: ignore[arg-type]
    try:
        import openvino
    finally:
        if left_out:
            del sys.modules[converter]
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
    member = bundle.manifest.members[index].sha256
    found = _read(kept, member)
    if found is None:
        found = _convert(bundle, index)
        _keep(found, kept, member)
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


def _read(kept: Path, member: str) -> tuple[bytes, bytes] | None:
    """Return what the cache holds, or None if that is nothing, damaged, or another member's."""
    try:
        hashes = json.loads((kept / _HASHES).read_text(encoding="utf-8"))
        converted = (kept / _GRAPH).read_bytes(), (kept / _WEIGHTS).read_bytes()
        whole = hashes == _hashes(converted, member)
    except (OSError, ValueError):
        whole = False
    if whole:
        return converted
    _remove(kept)  # it would be in the way of what is converted now
    return None


def _convert(bundle: Bundle, index: int) -> tuple[bytes, bytes]:
    ov = openvino()
    # Here and not above: the converted members run without PyTorch.
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    from fedcross.infer.compose import compose_upsampling
    from fedcross.infer.fold import fold_normalisation

    network = compose_upsampling(fold_normalisation(bundle.load_member(index)))
    # Two voxels at the lowest level: quick to trace, and enough for every normalisation. Which size
    # it is does not matter, the converted network is reshaped to the patch.
    example = torch.zeros(
        1, 1, *[2 * side for side in bundle.manifest.architecture.reduction[::-1]]
    )
    frontend = FrontEndManager().load_by_framework("pytorch")
    with torch.inference_mode(), _quiet():
        decoder = TorchScriptPythonDecoder(network, example_input=example)
        model = frontend.convert(frontend.load(decoder))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _GRAPH
        ov.save_model(model, str(path), compress_to_fp16=False)
        return path.read_bytes(), path.with_name(_WEIGHTS).read_bytes()


def _keep(converted: tuple[bytes, bytes], kept: Path, member: str) -> None:
    """Put a converted member into the cache; where that cannot be written it is simply not kept."""
    graph, weights = converted
    try:
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=kept.parent))
    except OSError:
        return
    try:
        (partial / _GRAPH).write_bytes(graph)
        (partial / _WEIGHTS).write_bytes(weights)
        (partial / _HASHES).write_text(json.dumps(_hashes(converted, member)))
        partial.rename(kept)
        for other in kept.parent.glob(f"{_PARTIAL}*"):
            if time.time() - _made(other) > _ABANDONED_S:
                _remove(other)
        _trim(kept.parent.parent, spare=kept.parent)
    except OSError:  # a full disk, or another process was first
        return
    finally:
        _remove(partial)


def _remove(entry: Path) -> None:
    """Remove a folder, or a file that should be one; what cannot be removed stays."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
        return
    with suppress(OSError):
        entry.unlink(missing_ok=True)


def _hashes(converted: tuple[bytes, bytes], member: str) -> list[str]:
    """Return what is written beside a converted member: its own hash in the bundle, and the files'."""
    return [member, *(hashlib.sha256(data).hexdigest() for data in converted)]


def _trim(folder: Path, spare: Path) -> None:
    """Remove what has not been made for longest until the cache is small enough."""
    made = sorted((entry for entry in folder.iterdir() if entry != spare), key=_made)
    sizes = {entry: _size(entry) for entry in [*made, spare]}
    for entry in made:
        if sum(sizes.values()) <= MAX_CACHE_BYTES:
            return
        _remove(entry)
        del sizes[entry]


def _made(entry: Path) -> float:
    return entry.stat().st_mtime


def _size(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.rglob("*") if file.is_file())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch's warnings about tracing from users; the result is checked by tests."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
