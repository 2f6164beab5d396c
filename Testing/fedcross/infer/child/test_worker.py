"""The warm worker as a process, and the models that it keeps."""

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

from fedcross.contract.request import RequestOptions
from fedcross.errors import BundleError, ConfigError
from fedcross.infer import warm
from fedcross.infer.child import worker
from fedcross.infer.warm import WarmModels
from fedcross.model.bundle_zip import pack_bundle

PATIENCE_S = 120
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Worker:
    """A worker process, used in the way of the Slicer module."""

    def __init__(self, *options: str, temporary: Path | None = None) -> None:
        own = {} if temporary is None else {"TMPDIR": str(temporary)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fedcross.infer", "--worker", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT | own,
        )
        self._events: queue.SimpleQueue[dict] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with self.process.stdout as stream:
            for line in stream:
                self._events.put(json.loads(line))

    def send(self, line: bytes) -> None:
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def ask(self, *words: object) -> None:
        self.send(json.dumps([str(word) for word in words]).encode() + b"\n")

    def next(self) -> dict:
        return self._events.get(timeout=PATIENCE_S)

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
        self._reader.join()
        with suppress(BrokenPipeError):
            self.process.stdin.close()


@pytest.fixture
def start():
    """Starts workers, and ends them after the test."""
    workers = []

    def make(*options, **more):
        workers.append(Worker(*options, **more))
        return workers[-1]

    yield make
    for each in workers:
        each.close()


@pytest.fixture
def words(bundle, image_path, tmp_path):
    """The words of a request that takes a second."""

    def make(out="out", bundle_path=bundle.path, image=image_path):
        options = ("--device", "cpu", "--backend", "torch")
        return ["--bundle", bundle_path, "--image", image, "--out", tmp_path / out, *options]

    return make


@pytest.fixture
def long_words(words, tmp_path):
    """The words of a request that takes a minute, so that it can be interrupted."""
    image = sitk.GetImageFromArray(np.random.default_rng(0).random((60, 200, 200), np.float32))
    sitk.WriteImage(image, str(tmp_path / "large.nrrd"))
    return words("long", image=tmp_path / "large.nrrd")


def voxels(folder: Path) -> list[np.ndarray]:
    names = ("segmentation.seg.nrrd", "uncertainty.nrrd")
    return [sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name))) for name in names]


def test_each_request_has_one_last_event_and_does_not_depend_on_the_one_before(
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
    ("line", "message"),
    [
        (b"{nonsense\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b'{"bundle": "B"}\n', "not an array of words"),
        (b'["--bundle", 7]\n', "not an array of words"),
        (b'["--unknown"]\n', "command line is wrong"),
        (b'["--help"]\n', "asks for help"),
    ],
)
def test_a_line_that_is_no_request_is_an_error(line, message, capfd):
    with pytest.raises(ConfigError, match=message):
        worker.read_request(line)
    assert capfd.readouterr() == ("", "")


def test_it_ends_after_a_time_without_requests(start):
    assert start("--idle-s", "0.2").ended() == 0


def test_it_answers_and_ends_when_its_memory_remains_large(start):
    process = start("--memory-mb", "1")
    assert process.answer("--unknown")["event"] == "error"
    assert process.ended() == 2


def test_it_ends_when_stdin_is_closed_while_it_waits(start):
    process = start()
    process.send(b'["--unknown"]\n')
    process.until("error")
    process.process.stdin.close()
    assert process.ended() in (
        0,
        130,
    )  # 130 if stdin is closed before the worker marks the request as answered


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
def test_it_ends_when_its_parent_ends_even_if_another_process_holds_its_stdin_open(
    state, long_words
):
    requests = {
        "idle": [json.dumps(["--unknown"]), "error"],
        "busy": [json.dumps([str(word) for word in long_words]), "progress"],
    }
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *requests[state]],
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


OPTIONS = RequestOptions(device="cpu", backend="torch")


def test_members_are_loaded_once_even_if_the_same_bundle_is_opened_elsewhere(bundle, tmp_path):
    shutil.copytree(bundle.path, tmp_path / "copy")
    with WarmModels() as models:
        with models(bundle.path, OPTIONS) as (backend, opened):
            first = [backend.load(opened, index) for index in range(3)]
        with models(tmp_path / "copy", OPTIONS) as (backend, opened):
            again = [backend.load(opened, index) for index in range(3)]
    assert all(one is other for one, other in zip(first, again, strict=True))


def test_a_kept_member_whose_file_was_damaged_since_is_refused(bundle, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(bundle.path, copy)
    with WarmModels() as models:
        with models(copy, OPTIONS) as (backend, opened):
            backend.load(opened, 0)
            file = copy / opened.manifest.members[0].file
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        with (
            pytest.raises(BundleError, match=r"member_0\.safetensors was changed"),
            models(copy, OPTIONS) as (backend, opened),
        ):
            backend.load(opened, 0)


def test_another_bundle_or_backend_loads_its_own_members(bundle, make_bundle):
    other = make_bundle(members=2)
    with WarmModels() as models:
        with models(bundle.path, OPTIONS) as (backend, opened):
            first = backend.load(opened, 0)
        with models(other.path, OPTIONS) as (backend, opened):
            assert opened.sha256 == other.sha256
            assert backend.load(opened, 0) is not first
        with models(bundle.path, OPTIONS) as (backend, opened):
            assert backend.load(opened, 0) is not first
            first = backend.load(opened, 0)
        tuned = RequestOptions(device="cpu", backend="tuned")
        with models(bundle.path, tuned) as (backend, opened):
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
        with models(packed, OPTIONS) as (_, opened):
            assert opened.sha256 == bundle.sha256
        with models(packed, OPTIONS) as (_, again):
            assert again is opened
        pack_bundle(other.path, packed)
        with models(packed, OPTIONS) as (backend, opened):
            assert opened.sha256 == other.sha256
            backend.load(opened, 1)
        assert len(list(temporary.iterdir())) == 1
    assert list(temporary.iterdir()) == []


def test_nothing_is_kept_after_a_failure(bundle, make_bundle, tmp_path):
    with WarmModels() as models:
        with models(bundle.path, OPTIONS) as (backend, opened):
            first = backend.load(opened, 0)
        with pytest.raises(BundleError), models(tmp_path / "none", OPTIONS):
            pass
        with models(bundle.path, OPTIONS) as (backend, opened):
            assert backend.load(opened, 0) is not first
            first = backend.load(opened, 0)
        with pytest.raises(ZeroDivisionError), models(bundle.path, OPTIONS):
            raise ZeroDivisionError
        with models(bundle.path, OPTIONS) as (backend, opened):
            assert backend.load(opened, 0) is not first


def test_members_are_kept_up_to_a_size(bundle, monkeypatch):
    size = (bundle.path / bundle.manifest.members[0].file).stat().st_size
    monkeypatch.setattr(warm, "MAX_KEPT_BYTES", 2 * size)
    with WarmModels() as models, models(bundle.path, OPTIONS) as (backend, opened):
        first = [backend.load(opened, index) for index in range(3)]
        again = [backend.load(opened, index) for index in range(3)]
    assert [one is other for one, other in zip(first, again, strict=True)] == [True, True, False]


def test_one_member_at_a_time_holds_working_memory(bundle, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr("fedcross.backends.factory._has_openvino", lambda: True)
    patch = np.random.default_rng(0).random((1, 16, 32, 32), np.float32)
    options = RequestOptions(backend="openvino")
    with WarmModels() as models, models(bundle.path, options) as (backend, opened):
        first = backend.load(opened, 0)
        before = first(patch)
        assert first._request is not None
        backend.load(opened, 1)
        assert first._request is None
        np.testing.assert_array_equal(backend.load(opened, 0)(patch), before)
