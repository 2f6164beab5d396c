"""What `ConsoleReporter` shows on a terminal and in a file."""

import io

import pytest
from rich.console import Console

from fedcross.commands.console import ConsoleReporter


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)


def printed(console: Console) -> str:
    """Everything that a terminal received, with the bars in every state."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def live(reporter: ConsoleReporter) -> str:
    """What the live part of the terminal looks like at this moment."""
    with (console := Console(width=100)).capture() as capture:
        console.print(reporter._bars.get_renderable())
    return capture.get()


def test_a_stage_is_shown_before_its_first_step() -> None:
    with ConsoleReporter(terminal()) as reporter:
        reporter.stage("read", "Reading the cases")
        assert "Reading the cases" in live(reporter)
        assert "0/" not in live(reporter)
        reporter.progress(1, 4, "read")
        assert "1/4" in live(reporter)


def test_only_the_present_stage_is_live_and_those_with_steps_stay_above_it() -> None:
    console = terminal()
    with ConsoleReporter(console) as reporter:
        for run in range(60):  # more than a terminal has lines
            reporter.stage("open", "Opening the bundle")
            reporter.stage("train", f"Training {run}")
            reporter.progress(4, 4, "train")
        assert "Training 59" in live(reporter)
        assert len(live(reporter).splitlines()) == 1
        reporter.stage("write", "Writing the results")
        assert "Training" not in live(reporter)
    assert live(reporter).strip() == ""
    assert [f"Training {run} " in printed(console) for run in range(60)] == [True] * 60


def test_the_result_stands_below_the_bars() -> None:
    console = terminal()
    with ConsoleReporter(console) as reporter:
        reporter.stage("ensemble", "Segmenting")
        reporter.progress(4, 4, "ensemble")
        reporter.result("Organ  22.2 mL")
    assert printed(console).rindex("Segmenting") < printed(console).index("Organ  22.2 mL")


def test_what_is_said_after_a_stage_stands_below_its_bar() -> None:
    console = terminal()
    with ConsoleReporter(console) as reporter:
        reporter.stage("test", "Evaluating")
        reporter.progress(2, 2, "test")
        reporter.log("The next run begins")
        reporter.progress(2, 2, "test")
        assert live(reporter).strip() == ""
        reporter.progress(1, 3, "test")
        assert "1/3" in live(reporter)
        reporter.progress(3, 3, "test")
        reporter.result("")
    assert printed(console).index("2/2") < printed(console).index("The next run begins")


def test_steps_of_a_stage_that_nobody_began_are_shown_under_its_name() -> None:
    with ConsoleReporter(terminal()) as reporter:
        reporter.progress(1, 2, "train")
        assert "Train" in live(reporter)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_file_gets_plain_lines(steps: int) -> None:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    with ConsoleReporter(console) as reporter:
        reporter.stage("read", "Reading the cases")
        for done in range(1, steps + 1):
            reporter.progress(done, steps, "read")
        reporter.result("Done")
    lines = [f"  {done}/{steps}" for done in range(1, steps + 1)]
    assert printed(console).splitlines() == ["Reading the cases", *lines, "Done"]
