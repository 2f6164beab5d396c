"""The warm worker, as the process that it is, and what it keeps."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.errors import BundleError
from fedcross.infer import warm, worker
from fedcross.infer.segment import SegmentRequest
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle_zip import pack_bundle
from fedcross.runtime.memory import resident_bytes

PATIENCE_S = 120
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Worker:
    """A worker process, spoken to as Slicer does."""

    def __init__(self, *options: str, temporary: Path | None = None) -> None:
        own = {} if temporary is None else {"TMPDIR": str(temporary)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fedcross.infer", "--worker", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT | own,
        )
        self._said: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        with self.process.stdout as stream:
            for line in stream:
                self._said.put(json.loads(line))

    def send(self, line: bytes) -> None:
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def ask(self, *words: object) -> None:
        self.send(json.dumps([str(word) for word in words]).encode() + b"\n")

    def next(self) -> dict:
        return self._said.get(timeout=PATIENCE_S)

    def until(self, *kinds: str) -> dict:
        """The first event of these kinds."""
        while (event := self.next())["event"] not in kinds:
            pass
        return event

    def answer(self, *words: object) -> dict:
        self.ask(*words)
        return self.until("result", "error")

    def ended(self) -> int:
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._listener.join()
        with suppress(BrokenPipeError):
            self.process.stdin.close()


@pytest.fixture
def start():
    """Starts workers that are gone after the test."""
    workers = []

    def make(*options, **more):
        workers.append(Worker(*options, **more))
        return workers[-1]

    yield make
    for each in workers:
        each.close()


@pytest.fixture
def words(bundle, image_path, tmp_path):
    """A request of a second."""

    def make(out="out", bundle_path=bundle.path, image=image_path):
        options = ("--device", "cpu", "--backend", "torch")
        return ["--bundle", bundle_path, "--image", image, "--out", tmp_path / out, *options]

    return make


@pytest.fixture
def long_words(words, tmp_path):
    """A request of a minute: enough to be interrupted."""
    image = sitk.GetImageFromArray(np.random.default_rng(0).random((60, 200, 200), np.float32))
    sitk.WriteImage(image, str(tmp_path / "large.nrrd"))
    return words("long", image=tmp_path / "large.nrrd")


def voxels(folder: Path) -> list[np.ndarray]:
    names = ("segmentation.seg.nrrd", "uncertainty.nrrd")
    return [sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name))) for name in names]


def test_one_request_after_the_other_each_with_one_end_and_nothing_of_the_one_before(
    start, words, make_bundle, image_path, tmp_path
):
    (tmp_path / "größe 図").mkdir()
    umlauts = tmp_path / "größe 図" / "volume.nrrd"
    shutil.copy(image_path, umlauts)
    other = make_bundle(members=2, structures=1, spacing_mm=(2.0, 2.0, 2.0)).path
    process = start()
    process.send(b"{nonsense\n")
    assert process.next() == {
        "event": "error",
        "type": "ConfigError",
        "message": "The request is not JSON.",
        "hint": "Send an array of words a line.",
    }
    endings = [
        process.answer(*words("first")),
        process.answer(*words("nothing", image=tmp_path / "missing.nrrd")),
        process.answer(*words("other", bundle_path=other)),
        process.answer(*words("größe 図/out", image=umlauts)),
    ]
    kinds = [ending["event"] for ending in endings]
    assert kinds == ["result", "error", "result", "result"]
    assert "missing.nrrd" in endings[1]["message"]
    assert not (tmp_path / "nothing").exists()
    for first, last in zip(
        voxels(tmp_path / "first"), voxels(tmp_path / "größe 図" / "out"), strict=True
    ):
        np.testing.assert_array_equal(first, last)
    summaries = [
        json.loads((tmp_path / name / "summary.json").read_text(encoding="utf-8"))
        for name in ("first", "other")
    ]
    assert [summary["bundle"]["members"] for summary in summaries] == [3, 2]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{nonsense\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b'{"bundle": "B"}\n', "not an array of words"),
        (b'["--bundle", 7]\n', "not an array of words"),
        (b'["--unheard-of"]\n', "command line is wrong"),
        (b'["--help"]\n', "asks for help"),
    ],
)
def test_a_line_that_is_no_request_is_an_error(line, told):
    from fedcross.errors import ConfigError
    from fedcross.infer.__main__ import parse

    with pytest.raises(ConfigError, match=told):
        worker._understood(line, parse)


def test_it_ends_by_itself_when_idle_for_long(start):
    assert start("--idle-s", "0.2").ended() == 0


def test_it_answers_and_ends_when_its_memory_stays_up(start):
    process = start("--memory-mb", "1")
    assert process.answer("--unheard-of")["event"] == "error"
    assert process.ended() == 2


def test_it_ends_when_stdin_is_closed_while_it_waits(start):
    process = start()
    process.send(b'["--unheard-of"]\n')
    process.until("error")
    process.process.stdin.close()
    assert process.ended() in (0, 130)  # whether it had taken note of its own answer yet


def test_it_ends_when_stdin_is_closed_while_it_works_and_leaves_nothing(
    start, long_words, bundle, tmp_path
):
    pack_bundle(bundle.path, tmp_path / "bundle.zip")
    long_words[1] = tmp_path / "bundle.zip"
    (tmp_path / "temporary").mkdir()
    process = start(temporary=tmp_path / "temporary")
    process.ask(*long_words)
    process.until("progress")
    process.process.stdin.close()
    assert process.ended() == 130
    assert not (tmp_path / "long").exists()
    assert list((tmp_path / "temporary").iterdir()) == []


PARENT = """
import subprocess, sys, time
worker = subprocess.Popen(
    [sys.executable, "-m", "fedcross.infer", "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
worker.stdin.write(sys.argv[1].encode() + b"\\n")
worker.stdin.flush()
while sys.argv[2].encode() not in worker.stdout.readline():
    pass
held = subprocess.Popen(  # outlives its parent and holds the worker's stdin open
    [sys.executable, "-c", "import time; time.sleep(100)"], pass_fds=[worker.stdin.fileno()]
)
print(worker.pid, held.pid, flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_it_ends_when_its_parent_dies_though_somebody_holds_its_stdin(state, long_words):
    asked = {
        "idle": [json.dumps(["--unheard-of"]), "error"],
        "busy": [json.dumps([str(word) for word in long_words]), "progress"],
    }
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *asked[state]],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    )
    pid, held = (int(number) for number in parent.stdout.readline().split())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + PATIENCE_S
    try:
        while _alive(pid):
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        os.kill(held, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# What is kept from request to request, in this process.


def request_for(path: Path) -> SegmentRequest:
    return SegmentRequest(path, Path("volume"), Path("out"), device="cpu", backend="torch")


def test_members_are_brought_to_life_once_and_the_same_bundle_elsewhere_has_them_too(
    bundle, tmp_path
):
    shutil.copytree(bundle.path, tmp_path / "copy")
    with WarmModels() as models:
        with models(request_for(bundle.path)) as (backend, opened):
            first = [backend.load(opened, index) for index in range(3)]
        with models(request_for(tmp_path / "copy")) as (backend, opened):
            again = [backend.load(opened, index) for index in range(3)]
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_another_bundle_or_device_brings_members_of_its_own(bundle, make_bundle):
    other = make_bundle(members=2)
    with WarmModels() as models:
        with models(request_for(bundle.path)) as (backend, opened):
            first = backend.load(opened, 0)
        with models(request_for(other.path)) as (backend, opened):
            assert opened.sha256 == other.sha256
            assert backend.load(opened, 0) is not first
        with models(request_for(bundle.path)) as (backend, opened):
            assert backend.load(opened, 0) is not first
            first = backend.load(opened, 0)
        tuned = SegmentRequest(bundle.path, Path("v"), Path("o"), device="cpu", backend="tuned")
        with models(tuned) as (backend, opened):
            assert backend.name == "tuned"
            assert backend.load(opened, 0) is not first


def test_a_zip_is_unpacked_once_and_again_when_it_was_replaced(
    bundle, make_bundle, tmp_path, monkeypatch
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    packed = tmp_path / "bundle.zip"
    pack_bundle(bundle.path, packed)
    other = make_bundle(members=2)
    with WarmModels() as models:
        with models(request_for(packed)) as (_, opened):
            assert opened.sha256 == bundle.sha256
        with models(request_for(packed)) as (_, again):
            assert again is opened
        pack_bundle(other.path, packed)
        with models(request_for(packed)) as (backend, opened):
            assert opened.sha256 == other.sha256
            backend.load(opened, 1)
        assert len(list(temporary.iterdir())) == 1
    assert list(temporary.iterdir()) == []


def test_nothing_is_kept_after_a_failure(bundle, make_bundle, tmp_path):
    with WarmModels() as models:
        with models(request_for(bundle.path)) as (backend, opened):
            first = backend.load(opened, 0)
        with pytest.raises(BundleError), models(request_for(tmp_path / "none")):
            pass
        with models(request_for(bundle.path)) as (backend, opened):
            assert backend.load(opened, 0) is not first
            first = backend.load(opened, 0)
        with pytest.raises(ZeroDivisionError), models(request_for(bundle.path)):
            raise ZeroDivisionError
        with models(request_for(bundle.path)) as (backend, opened):
            assert backend.load(opened, 0) is not first


def test_only_so_many_members_are_kept(bundle, monkeypatch):
    size = (bundle.path / bundle.manifest.members[0].file).stat().st_size
    monkeypatch.setattr(warm, "MAX_KEPT_BYTES", 2 * size)
    with WarmModels() as models, models(request_for(bundle.path)) as (backend, opened):
        first = [backend.load(opened, index) for index in range(3)]
        again = [backend.load(opened, index) for index in range(3)]
    assert [one is other for one, other in zip(first, again, strict=True)] == [True, True, False]


def test_one_member_at_a_time_is_at_work(bundle, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr("fedcross.backends.factory._has_openvino", lambda: True)
    patch = np.random.default_rng(0).random((16, 32, 32), np.float32)
    request = SegmentRequest(bundle.path, Path("v"), Path("o"), backend="openvino")
    with WarmModels() as models, models(request) as (backend, opened):
        first = backend.load(opened, 0)
        before = first(patch)
        assert first._request is not None
        backend.load(opened, 1)
        assert first._request is None
        np.testing.assert_array_equal(backend.load(opened, 0)(patch), before)


def test_the_memory_told_is_this_process_own():
    before = resident_bytes()
    held = np.ones(50_000_000, np.uint8)
    assert resident_bytes() - before > 0.8 * held.nbytes
