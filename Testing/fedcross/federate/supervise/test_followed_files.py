"""The coordinator's copies of the files of a run, which grow while the run goes on."""

from pathlib import Path
from typing import Any

import pytest

from fedcross.federate.supervise import followed_files
from fedcross.federate.supervise.followed_files import FollowedFiles, read_new_texts
from fedcross.federate.supervise.server_connection import FederationError


class Both:
    """A server's folder and the coordinator's copies of its files."""

    def __init__(self, folder: Path) -> None:
        self.server, self.copies = folder / "server", folder / "copies"
        self.server.mkdir()
        self.copies.mkdir()
        self.lines: list[str] = []
        self.metrics: list[dict[str, Any]] = []
        self.files = FollowedFiles(self.copies, self.lines.append, self.metrics.append)

    def write(self, name: str, text: str) -> None:
        (self.server / name).write_text(text, encoding="utf-8")

    def ask(self) -> dict[str, Any]:
        new = read_new_texts(self.server, self.files.known())
        self.files.add(new)
        return new

    def copy(self, name: str) -> str:
        return (self.copies / name).read_text(encoding="utf-8")


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


def test_only_what_is_new_is_sent_and_every_line_is_passed_on_once(both: Both) -> None:
    both.write("train.log", "t1  One\n")
    both.write("metrics.jsonl", '{"round": 1}\n')
    assert set(both.ask()) == {"train.log", "metrics.jsonl"}
    both.write("train.log", "t1  One\nt2  Zürich\nt3  Three  words\n")
    new = both.ask()
    assert {name: each["start"] for name, each in new.items()} == {"train.log": 8}
    assert both.ask() == {}
    assert both.lines == ["One", "Zürich", "Three  words"]
    assert both.metrics == [{"round": 1}]
    assert both.copy("train.log") == "t1  One\nt2  Zürich\nt3  Three  words\n"


def test_a_line_that_is_still_written_waits_for_its_end(both: Both) -> None:
    both.write("train.log", "t1  One\nt2  Tw")
    both.ask()
    assert both.lines == ["One"]
    both.write("train.log", "t1  One\nt2  Two\n")
    both.ask()
    assert both.lines == ["One", "Two"]


def test_metrics_that_the_server_dropped_are_dropped_here(both: Both) -> None:
    both.write("metrics.jsonl", '{"round": 1}\n{"round": 2}\n')
    both.ask()
    both.write("metrics.jsonl", '{"round": 1}\n')
    both.ask()
    assert both.copy("metrics.jsonl") == '{"round": 1}\n'


def test_a_file_that_is_written_again_is_sent_whole(both: Both) -> None:
    for state in ("running", "finished"):
        both.write("status.json", f'{{"state": "{state}"}}\n')
        assert both.ask()["status.json"]["start"] == 0
    assert both.copy("status.json") == '{"state": "finished"}\n'


def test_a_long_file_comes_in_parts_of_whole_lines(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_files, "MAX_BYTES", 18)  # two lines of 7 bytes
    both.write("train.log", "".join(f"t{n}  L{n}\n" for n in range(1, 6)))
    both.ask()
    assert both.lines == ["L1", "L2"]
    both.files.complete(both.server)
    assert both.lines == ["L1", "L2", "L3", "L4", "L5"]


def test_a_later_call_goes_on_where_the_copies_end(both: Both) -> None:
    both.write("train.log", "t1  One\n")
    both.ask()
    both.write("train.log", "t1  One\nt2  Two\n")
    lines: list[str] = []
    later = FollowedFiles(both.copies, lines.append)
    later.add(read_new_texts(both.server, later.known()))
    assert lines == ["Two"]


def test_hidden_characters_do_not_reach_the_terminal(both: Both) -> None:
    both.write("train.log", "t1  a\x1b[2Jb\n")
    both.ask()
    assert both.lines == ["a?[2Jb"]


@pytest.mark.parametrize("known", [None, 3, {"train.log": "x"}, {"train.log": [-1, 0]}, {"x": [1]}])
def test_a_request_of_another_form_counts_as_no_copy(both: Both, known: Any) -> None:
    both.write("train.log", "t1  One\n")
    assert read_new_texts(both.server, known)["train.log"]["start"] == 0


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"train.log": {"start": -1, "text": ""}},
        {"train.log": {"start": 0, "text": "a" * 200_001}},
        {"train.log": {"start": 0, "text": "\u20ac"}},
        {"train.log": "text"},
    ],
)
def test_an_answer_of_another_form_is_refused(both: Both, answer: Any) -> None:
    with pytest.raises(FederationError, match="another form"):
        both.files.add(answer)
    assert list(both.copies.iterdir()) == []


def test_no_other_file_is_written_than_those_that_are_followed(both: Both) -> None:
    both.files.add(
        {"../escape": {"start": 0, "text": "x\n"}, "config.json": {"start": 0, "text": "x"}}
    )
    both.files.add({"train.log": {"start": 9, "text": "x\n"}})  # beyond the copy
    assert list(both.copies.iterdir()) == []
    assert not (both.copies.parent / "escape").exists()


def test_lines_of_metrics_that_are_no_figures_are_not_passed_on(both: Both) -> None:
    both.write("metrics.jsonl", '[1]\n{"round": "x"}\nno\n' + "[" * 100_000 + '\n{"round": 2}\n')
    both.ask()
    assert both.metrics == [{"round": 2}]
