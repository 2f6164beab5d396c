"""What the child process, the command line and the Slicer module agree on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fedcross.contract import devices, events, exits, files, measures, request
from fedcross.contract.request import RequestOptions, SegmentRequest, parse_request
from fedcross.errors import BundleError, ConfigError

MODULES = (
    *(
        "devices",
        "dicom",
        "display",
        "events",
        "exits",
        "figures",
        "files",
        "folder_cases",
        "measures",
    ),
    *("parse", "plain_text", "request", "table", "verdict", "volume_names", "wording"),
)
FULL = SegmentRequest(
    bundle=Path("a bundle"),
    image=Path("i.nrrd"),
    out=Path("o"),
    measure="entropy",
    device="cuda:1",
    precision="fp16",
    backend="tuned",
    roi=Path("roi.json"),
    localise=True,
    save_probabilities=True,
    save_members=True,
    for_viewer=True,
)
CHANNELS = SegmentRequest(
    Path("b"), Path("t2.nrrd"), Path("o"), further=(Path("adc.nrrd"), Path("dwi.nrrd"))
)


def test_it_loads_the_standard_library_only() -> None:
    names = ", ".join(f"fedcross.contract.{name}" for name in MODULES)
    code = f"import sys; before = set(sys.modules); import fedcross.contract, {names}; " + (
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - sys.stdlib_module_names == {"fedcross"}


@pytest.mark.parametrize("made", [FULL, CHANNELS, SegmentRequest(Path("b"), Path("i"), Path("o"))])
def test_the_words_of_a_request_make_the_same_request(made: SegmentRequest) -> None:
    assert parse_request(made.words()) == made
    assert parse_request([*made.words(), request.EVENTS_FLAG]) == made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_hours": float("nan")}, "--max-hours must be at least 0, got nan"),
        ({"max_memory_gb": -1.0}, "--max-memory-gb must be at least 0, got -1.0"),
        ({"roi": Path("a\0b")}, r"a\?b cannot be a path: it holds a character that no path has"),
        ({"roi": Path("a\ud800")}, r"a\? cannot be a path: it holds a character that no path has"),
    ],
)
def test_a_request_with_an_impossible_limit_or_path_is_refused(options, message) -> None:
    with pytest.raises(ConfigError, match=message):
        SegmentRequest(Path("b"), Path("i"), Path("o"), **options)


def test_a_wrong_word_is_shown_in_one_short_line() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_request(["--bundle", "b", "--image", "i", "--out", "o", "--measure", "x\n" * 5000])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_option_image_is_repeated_for_every_channel() -> None:
    words = CHANNELS.words()
    assert words[2:8] == ["--image", "t2.nrrd", "--image", "adc.nrrd", "--image", "dwi.nrrd"]
    assert CHANNELS.images == (Path("t2.nrrd"), Path("adc.nrrd"), Path("dwi.nrrd"))


def test_the_values_of_a_request_come_before_its_switches() -> None:
    words = FULL.words()
    switches = ["--localise", "--save-probabilities", "--save-members", "--for-viewer"]
    assert words[-4:] == switches
    assert words[:4] == ["--bundle", "a bundle", "--image", "i.nrrd"]


def test_a_label_map_in_dicom_is_dicom() -> None:
    words = ["--bundle", "b", "--image", "i", "--out", "o"]
    assert not parse_request(words).writes_dicom
    assert parse_request([*words, "--dicom"]).writes_dicom
    assert parse_request([*words, "--dicom-labelmap"]).writes_dicom


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "--bundle"),
        (["--bundle", "b", "--image", "i", "--out", "o", "--measure", "guess"], "guess"),
        (["--bundle", "b", "--image", "i", "--out", "o", "--unknown"], "--unknown"),
    ],
)
def test_wrong_words_are_a_configuration_error(words: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_request(words)


def test_every_option_is_described() -> None:
    assert set(request.HELP) == {*vars(FULL), "events"} - {"further"}
    text = " ".join(request.request_parser().format_help().split())
    assert all(sentence in text for sentence in request.HELP.values())


def test_the_chosen_measure_comes_first_and_the_viewer_gets_all() -> None:
    assert RequestOptions(measure="entropy").measures == ("entropy",)
    assert FULL.measures == ("entropy", "std", "mutual_information", "variation_ratio")
    assert set(measures.TITLES) == set(measures.LEGENDS) == set(measures.MEASURES)


def test_files_of_a_request_are_recognised_and_others_are_not() -> None:
    written = [files.SUMMARY, files.SEGMENTATION, files.UNCERTAINTY, files.OUTLINES, files.DISTANCE]
    written += map(files.uncertainty_file, measures.MEASURES)
    written += [files.probability_file("peripheral_zone"), files.member_file(11)]
    written += [files.DICOM_SEGMENTATION, files.DICOM_PROBABILITY, files.DICOM_UNCERTAINTY]
    assert all(map(files.is_result_file, written))
    others = (
        "uncertainty_mine.nrrd",
        "member_x.seg.nrrd",
        "probability_a.b.nrrd",
        "summaryXjson",
        "a.dcm",
    )
    assert not any(map(files.is_result_file, others))


def test_a_file_is_named_by_its_kind() -> None:
    assert files.file_kind(files.SEGMENTATION) == "segmentation"
    assert files.file_kind(files.member_file(3)) == "member_3"
    assert files.file_kind(files.probability_file("organ")) == "probability_organ"
    assert files.file_kind(files.DICOM_SEGMENTATION) == "dicom_segmentation"


def test_a_segment_names_its_member() -> None:
    assert files.member_of_segment(files.member_segment(12, "organ")) == 12
    others = (files.intersection_segment("organ"), files.union_segment("organ"), "member_a_organ")
    assert [files.member_of_segment(name) for name in others] == [None, None, None]
    assert [files.is_union_segment(name) for name in others] == [False, True, False]


EVENTS = (
    events.StageEvent("read", "Reading"),
    events.ProgressEvent(3, 12, "ensemble"),
    events.LogEvent("größer 図\nzwei"),
    events.WarningEvent("größer"),
    events.ResultEvent({"segmentation": files.SEGMENTATION}, files.SUMMARY),
    events.ErrorEvent("DataError", "Nein.", "Doch."),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_one_ascii_line_that_can_be_read_again(event: events.Event) -> None:
    line = events.event_line(event)
    assert line.isascii()
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert next(iter(json.loads(line))) == "event"
    assert events.read_event(line) == event


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\x00\xff not JSON {",
        "[]",
        "7",
        '{"event": 7}',
        '{"event": []}',
        '{"event": "unknown"}',
        '{"event": "progress", "done": "many", "total": 3, "stage": "ensemble"}',
        '{"event": "log"}',
    ],
)
def test_a_line_that_is_no_event_is_none(line: str) -> None:
    assert events.read_event(line) is None


@pytest.mark.parametrize(
    ("error", "code", "sentences"),
    [
        (BundleError("No bundle.", "Choose one."), 2, ("BundleError", "No bundle.", "Choose one.")),
        (KeyboardInterrupt(), 130, ("Interrupted", "Interrupted.", "")),
        (BrokenPipeError(), 130, ("Interrupted", "Interrupted.", "")),
        (
            ZeroDivisionError("first\nsecond"),
            1,
            ("ZeroDivisionError", "Unexpected ZeroDivisionError: first.", "Please report it."),
        ),
        (
            PermissionError(13, "Permission denied", "/home/Doe^Jane/scan.nii"),
            2,
            (
                "PermissionError",
                "A file or folder cannot be used: Permission denied.",
                "Check the paths, their permissions and the free space, also where the output goes.",
            ),
        ),
        (
            NotADirectoryError(20, "Not a directory", "/home/Doe^Jane/out"),
            2,
            (
                "NotADirectoryError",
                "A file or folder cannot be used: Not a directory.",
                "Check the paths, their permissions and the free space, also where the output goes.",
            ),
        ),
        (
            FileNotFoundError(2, "No such file or directory", "/home/Doe^Jane/scan.nii"),
            1,
            (
                "FileNotFoundError",
                "Unexpected FileNotFoundError: No such file or directory.",
                "Please report it.",
            ),
        ),
        (
            MemoryError(),
            2,
            ("MemoryError", "The machine's memory does not suffice.", exits.MEMORY_HINT),
        ),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nLong details"),
            2,
            ("RuntimeError", "The GPU's memory does not suffice.", exits.MEMORY_HINT),
        ),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            2,
            ("RuntimeError", "The machine's memory does not suffice.", exits.MEMORY_HINT),
        ),
        (
            ValueError(),
            1,
            ("ValueError", "Unexpected ValueError: ?.", "Please report it."),
        ),
    ],
)
def test_an_error_is_an_exit_code_and_a_sentence_without_paths(
    error: BaseException, code: int, sentences: tuple[str, str, str]
) -> None:
    assert exits.explain(error) == (code, events.ErrorEvent(*sentences))


def test_the_devices_can_be_read_again_and_other_lines_are_none() -> None:
    found = devices.Devices("2.13.0", (devices.Gpu("cuda:0", "Card", 24.0),), "GPU ready.")
    assert devices.read_devices(found.line()) == found
    for line in ("", "7", "{}", '{"torch": null, "status": "", "gpus": [{}]}'):
        assert devices.read_devices(line) is None
