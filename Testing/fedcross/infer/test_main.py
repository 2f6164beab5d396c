import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.contract.events import ErrorEvent
from fedcross.contract.request import SegmentRequest
from fedcross.infer import __main__ as child
from fedcross.infer import segment as segment_module
from fedcross.infer.child.events import JsonReporter
from fedcross.runtime.reporting import NullReporter, PlainReporter

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def arguments(bundle, image_path, tmp_path):
    return [
        f"--bundle={bundle.path}",
        f"--image={image_path}",
        f"--out={tmp_path / 'out'}",
        "--device=cpu",
    ]


@pytest.fixture
def long_arguments(bundle, tmp_path):
    """A request that takes a minute, so that it can be interrupted."""
    image = sitk.GetImageFromArray(np.random.default_rng(0).random((60, 200, 200), np.float32))
    sitk.WriteImage(image, str(tmp_path / "large.nrrd"))
    return [
        f"--bundle={bundle.path}",
        f"--image={tmp_path / 'large.nrrd'}",
        f"--out={tmp_path / 'out'}",
        "--device=cpu",
        "--events",
    ]


def started(arguments: list[str]) -> subprocess.Popen[str]:
    """A child process that has computed its first patch."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fedcross.infer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ONE_THREAD,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "progress":
            return process
    raise AssertionError(process.communicate()[1])


def events_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_child_prints_events_only_and_the_result_is_the_last(arguments, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fedcross.infer", *arguments, "--events"],
        capture_output=True,
        text=True,
        env=ONE_THREAD,
    )
    assert done.returncode == 0
    assert done.stderr == ""
    events = events_of(done.stdout)
    stages = [event["stage"] for event in events if event["event"] == "stage"]
    assert stages == ["open", "read", "preprocess", "ensemble", "combine", "write"]
    progress = [event for event in events if event["event"] == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"] == len(progress)
    assert events[-1] == {
        "event": "result",
        "files": {
            "segmentation": "segmentation.seg.nrrd",
            "uncertainty": "uncertainty.nrrd",
        },
        "summary": "summary.json",
    }
    assert [event["event"] for event in events].count("result") == 1
    for name in (*events[-1]["files"].values(), events[-1]["summary"]):
        assert (tmp_path / "out" / name).is_file()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_child_without_a_traceback_or_a_result(long_arguments, tmp_path, number):
    process = started(long_arguments)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert events_of(stdout)[-1]["type"] == "Interrupted"
    assert "Traceback" not in stderr
    assert not (tmp_path / "out").exists()


def test_a_kill_leaves_no_partial_result(long_arguments, tmp_path):
    process = started(long_arguments)
    process.kill()
    process.communicate(timeout=20)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_child_ends_when_its_output_is_closed(long_arguments, tmp_path):
    process = started(long_arguments)
    process.stdout.close()
    assert process.wait(timeout=20) == 130
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert not (tmp_path / "out").exists()


BAD_IMAGES = {
    "text.nii.gz": "is not an image that can be read",
    "empty.nrrd": "is empty",
    "flat.png": "is a PNG picture",
    "cine.nii.gz": "is a 4D image of 3 volumes",
    "nan.nii.gz": "not finite numbers",
    "missing.nrrd": "no file or folder named missing.nrrd",
}


@pytest.fixture
def bad_images(tmp_path) -> Path:
    (tmp_path / "text.nii.gz").write_text("words")
    (tmp_path / "empty.nrrd").touch()
    for name, array in {
        "flat.png": np.ones((4, 5), np.uint8),
        "cine.nii.gz": np.ones((3, 4, 5, 6), np.float32),
        "nan.nii.gz": np.full((4, 5, 6), np.nan, np.float32),
    }.items():
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / name))
    return tmp_path


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_one_sentence_and_exit_code_2(bundle, bad_images, name, capfd):
    code = child.main(
        [
            f"--bundle={bundle.path}",
            f"--image={bad_images / name}",
            f"--out={bad_images / 'out'}",
            "--device=cpu",
        ]
    )
    out, err = capfd.readouterr()
    assert code == 2
    assert out == ""
    sentence = err.splitlines()[-1]
    assert BAD_IMAGES[name] in sentence
    assert err.splitlines()[:-1] == ["Opening the bundle", "Reading the volume"]
    assert not (bad_images / "out").exists()


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_one_error_event(bundle, bad_images, name, capfd):
    code = child.main(
        [
            f"--bundle={bundle.path}",
            f"--image={bad_images / name}",
            f"--out={bad_images / 'out'}",
            "--device=cpu",
            "--events",
        ]
    )
    out, err = capfd.readouterr()
    assert code == 2
    last = events_of(out)[-1]
    assert last["event"] == "error"
    assert last["type"] == "DataError"
    assert BAD_IMAGES[name] in last["message"]
    assert str(bad_images) not in out + err


def test_a_missing_bundle_is_an_error_event(arguments, tmp_path, capfd):
    code = child.main([*arguments[1:], f"--bundle={tmp_path / 'none'}", "--events"])
    assert code == 2
    assert events_of(capfd.readouterr().out)[-1]["type"] == "BundleError"


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (["--measure=guess"], "ConfigError"),
        (["--precision=fp8"], "ConfigError"),
        (["--unknown"], "ConfigError"),
        (["--device=abacus"], "DeviceError"),
    ],
)
def test_a_wrong_option_is_an_error_event_and_a_sentence(arguments, wrong, kind, capfd):
    assert child.main([*arguments, "--events", *wrong]) == 2
    out, _ = capfd.readouterr()
    assert events_of(out)[-1]["type"] == kind
    assert child.main([*arguments, *wrong]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert wrong[0].partition("=")[2] in err
    assert "Traceback" not in err


def test_an_unexpected_error_is_exit_code_1_with_the_traceback_on_stderr_only(
    arguments, monkeypatch, capfd
):
    def broken(request, reporter, models):
        print("chatter of a library")
        os.write(1, b"chatter of C code\n")
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr(segment_module, "segment", broken)
    assert child.main([*arguments, "--events"]) == 1
    out, err = capfd.readouterr()
    (event,) = events_of(out)
    assert event["type"] == "ZeroDivisionError"
    assert event["message"] == "Unexpected ZeroDivisionError: first line."
    assert "Traceback" in err
    assert "chatter of a library" in err
    assert "chatter of C code" in err


def test_the_paths_of_system_errors_are_not_printed(arguments, monkeypatch, capfd):
    def broken(request, reporter, models):
        raise PermissionError(13, "Permission denied", "/home/Doe^Jane/scan.nii")

    monkeypatch.setattr(segment_module, "segment", broken)
    assert child.main([*arguments, "--events"]) == 2
    (event,) = events_of(capfd.readouterr().out)
    assert event["message"] == "A file or folder cannot be used: Permission denied."


def test_stdout_is_restored_after_the_events(arguments, capfd):
    child.main([*arguments, "--events", "--measure=guess"])
    capfd.readouterr()
    print("to stdout again", flush=True)
    assert capfd.readouterr().out == "to stdout again\n"


def test_a_caller_can_pass_a_reporter(bundle, image_path, tmp_path, capfd):
    class Stages(NullReporter):
        names: list[str] = []  # noqa: RUF012

        def stage(self, name, message):
            self.names.append(name)

    request = SegmentRequest(bundle.path, image_path, tmp_path / "out", device="cpu")
    assert child.run(lambda: request, reporter=Stages()) == 0
    assert "ensemble" in Stages.names
    assert capfd.readouterr() == ("", "")


def test_events_are_ascii_lines(capsys):
    reporter = JsonReporter(sys.stdout)
    reporter.log("größer 図\nzwei")
    reporter.write(ErrorEvent("DataError", "Nein.", "Doch."))
    out = capsys.readouterr().out
    assert out.isascii()
    first, second = events_of(out)
    assert first == {"event": "log", "message": "größer 図\nzwei"}
    assert second == {"event": "error", "type": "DataError", "message": "Nein.", "hint": "Doch."}


def test_plain_progress_is_a_line_every_tenth(capsys):
    reporter = PlainReporter(sys.stdout)
    for done in range(1, 101):
        reporter.progress(done, 100, "ensemble")
    assert capsys.readouterr().out.split() == [f"{done}/100" for done in range(10, 101, 10)]


def test_pytorch_is_not_loaded_for_a_wrong_option():
    program = (
        "import sys; from fedcross.infer.__main__ import main; main(['--wrong']); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
