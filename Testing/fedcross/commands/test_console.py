"""What `ConsoleReporter` shows on a terminal and in a file."""

import io

import pytest
from rich.console import Console

from fedcross.commands.console import ConsoleReporter


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)


def shown(reporter: ConsoleReporter) -> str:
    """What the bars look like at this moment."""
    with (console := Console(width=100)).capture() as capture:
        console.print(reporter._bars.get_renderable())
    return capture.get()


def test_a_stage_is_shown_before_its_first_step() -> None:
    with ConsoleReporter(terminal()) as reporter:
        reporter.stage("read", "Reading the cases")
        assert "Reading the cases" in shown(reporter)
        assert "0/" not in shown(reporter)
        reporter.progress(1, 4, "read")
        assert "1/4" in shown(reporter)


def test_a_stage_without_steps_goes_when_the_next_one_begins() -> None:
    with ConsoleReporter(terminal()) as reporter:
        reporter.stage("open", "Opening the bundle")
        reporter.stage("read", "Reading the cases")
        reporter.progress(4, 4, "read")
        reporter.stage("write", "Writing the results")
        assert "Opening" not in shown(reporter)
        assert "4/4" in shown(reporter)
    assert "Writing" not in shown(reporter)
    assert "4/4" in shown(reporter)


def test_the_result_stands_below_the_bars() -> None:
    console = terminal()
    with ConsoleReporter(console) as reporter:
        reporter.stage("ensemble", "Segmenting")
        reporter.progress(4, 4, "ensemble")
        reporter.result("Organ  22.2 mL")
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.rindex("Segmenting") < text.index("Organ  22.2 mL")


def test_steps_of_a_stage_that_nobody_began_are_shown_under_its_name() -> None:
    with ConsoleReporter(terminal()) as reporter:
        reporter.progress(1, 2, "train")
        assert "Train" in shown(reporter)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_file_gets_plain_lines(steps: int) -> None:
    console = Console(file=io.StringIO(), width=100, highlight=False)
    with ConsoleReporter(console) as reporter:
        reporter.stage("read", "Reading the cases")
        for done in range(1, steps + 1):
            reporter.progress(done, steps, "read")
        reporter.result("Done")
    assert isinstance(console.file, io.StringIO)
    lines = [f"  {done}/{steps}" for done in range(1, steps + 1)]
    assert console.file.getvalue().splitlines() == ["Reading the cases", *lines, "Done"]
