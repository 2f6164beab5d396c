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
    from fedcross.training.data.check.report import DataReport

app = typer.Typer(help="Check a federation's data, or create synthetic data.", no_args_is_help=True)
SHOWN_PATCHES = 6
TABLES = (
    ("site", "cases", "split", "label values", "errors"),
    ("site", "voxels", "spacing, mm"),
    ("site", "intensity", "volume, mL"),
)


@app.command("check")
def check(
    config: Annotated[Path, typer.Argument(help="TOML configuration.")],
    out: Annotated[Path | None, typer.Option(help="Folder for data.json and data.html.")] = None,
    data: DataRoot = None,
) -> None:
    """Read every case and list errors, unusual values and duplicates; exit code 2 after an error."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.study.data.page import write_report
    from fedcross.training.config.configuration import load_config
    from fedcross.training.data.check.federation import check_data
    from fedcross.training.data.check.overview import LEGEND, format_errors
    from fedcross.training.data.check.patches import draw_site_patches

    configuration = load_config(config, data_root=data)
    with ConsoleReporter() as reporter:
        reporter.stage("check", "Reading every case")
        report = check_data(configuration, reporter)
    console = Console(highlight=False, markup=False)
    for table in _tables(report):
        console.print(table, "")
    console.print(LEGEND)
    problems = report.problems()
    for kind, sentences in (("Remark", report.remarks()), ("Error", problems)):
        for sentence in sentences:
            console.print(f"{kind}: {sentence}", soft_wrap=True)
    if out is not None:
        patches = draw_site_patches(configuration, SHOWN_PATCHES)
        typer.echo(f"Written: {write_report(report, out, patches)}")
    if problems:
        raise DataError(f"The data have {format_errors(len(problems))}.", "See above.")


def _tables(report: "DataReport") -> Iterator[Table]:
    """Three tables with one row per site; a single table would be too wide for a terminal."""
    from fedcross.training.data.check.overview import HEADING, overview

    rows = [dict(zip(HEADING, row, strict=True)) for row in overview(report)]
    for columns in TABLES:
        shown = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            shown.add_row(*(row[column].replace("; ", "\n") for column in columns))
        yield shown


@app.command("phantom")
def phantom(
    folder: Annotated[Path, typer.Argument(help="Folder to create; it may exist if it is empty.")],
    sites: Annotated[int, typer.Option(help="Number of synthetic hospitals, 1 to 1024.")] = 4,
    cases: Annotated[int, typer.Option(help="Number of cases per hospital, at least 3.")] = 8,
    shift: Annotated[
        float,
        typer.Option(
            help="How much the hospitals differ, from 0 (not at all) over 1 (strongly) to 3."
        ),
    ] = 1.0,
    seed: Annotated[
        int, typer.Option(help="Seed of all random numbers; the same seed gives the same files.")
    ] = 0,
) -> None:
    """Write the data of synthetic hospitals and a configuration to train on them."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.training.data.phantom.federation import write_phantom_federation

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
