"""The commands `fedcross data ...`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from fedcross.commands.options import DataRoot
from fedcross.errors import DataError

if TYPE_CHECKING:
    from fedcross.train.data.check.report import DataReport

app = typer.Typer(help="Check a federation's data, or make synthetic ones.", no_args_is_help=True)
TABLES = (
    ("site", "cases", "split", "label values", "wrong"),
    ("site", "voxels", "spacing, mm"),
    ("site", "intensity", "volume, mL"),
)


@app.command("check")
def check(
    config: Annotated[Path, typer.Argument(help="TOML configuration.")],
    out: Annotated[Path | None, typer.Option(help="Folder for data.json and data.html.")] = None,
    data: DataRoot = None,
) -> None:
    """Read every case and say what is wrong, odd or there twice; exit code 2 if anything is wrong."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.study.data.page import write_report
    from fedcross.train.config.configuration import load_config
    from fedcross.train.data.check.check import check_data
    from fedcross.train.data.check.overview import LEGEND, mistakes

    configuration = load_config(config, data_root=data)
    with ConsoleReporter() as reporter:
        reporter.stage("check", "Reading every case")
        report = check_data(configuration, reporter)
    console = Console(highlight=False, markup=False)
    for table in _tables(report):
        console.print(table, "")
    console.print(LEGEND)
    problems = report.problems()
    for kind, sentences in (("Worth a look", report.remarks()), ("Wrong", problems)):
        for sentence in sentences:
            console.print(f"{kind}: {sentence}", soft_wrap=True)
    if out is not None:
        typer.echo(f"Written: {write_report(report, out)}")
    if problems:
        raise DataError(f"The data have {mistakes(len(problems))}.", "See above.")


def _tables(report: "DataReport") -> Iterator[Table]:
    """The sites below one another; all columns at once would not fit a terminal."""
    from fedcross.train.data.check.overview import HEADING, overview

    rows = [dict(zip(HEADING, row, strict=True)) for row in overview(report)]
    for columns in TABLES:
        shown = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            shown.add_row(*(row[column].replace("; ", "\n") for column in columns))
        yield shown


@app.command("phantom")
def phantom(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    sites: Annotated[int, typer.Option(help="Synthetic hospitals.")] = 4,
    cases: Annotated[int, typer.Option(help="Patients of each.")] = 8,
    shift: Annotated[
        float, typer.Option(help="How much the hospitals differ: 0 not at all, 1 strongly.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Decides everything.")] = 0,
) -> None:
    """Write synthetic hospitals and a configuration that trains them."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.train.data.phantom.federation import write_phantom_federation

    with ConsoleReporter() as reporter:
        reporter.stage("phantom", f"Writing {sites} synthetic hospitals")
        config = write_phantom_federation(
            folder,
            sites=sites,
            cases=cases,
            shift=shift,
            seed=seed,
            progress=lambda done, total: reporter.progress(done, total, "phantom"),
        )
    typer.echo(f"Written: {folder}. Next: fedcross train {config} --out RUN")
