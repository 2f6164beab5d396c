"""The commands `fedcross data ...`."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from fedcross.commands.options import AllowPlugin, DataRoot
from fedcross.contract.plain_text import counted
from fedcross.errors import ConfigError, DataError

if TYPE_CHECKING:
    from fedcross.training.data.check.report import DataReport

app = typer.Typer(help="Check a federation's data, or create synthetic data.", no_args_is_help=True)
Anatomy = Literal["organ", "pelvis"]
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
    allow_plugin: AllowPlugin = None,
) -> None:
    """Read every case and list what is wrong or unusual.

    Errors, unusual values and duplicates are listed. After an error the exit code is 2.

    The configuration may lack the sections that fedcross plan completes; then no patches are shown.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.runtime.plugins import allow_plugins
    from fedcross.study.data.page import write_report
    from fedcross.training.data.check.federation import check_data
    from fedcross.training.data.check.overview import LEGEND
    from fedcross.training.data.check.patches import draw_site_patches
    from fedcross.training.planning.draft import lacks_grid, load_or_draft

    configuration = load_or_draft(config, data)
    allow_plugins(*configuration.plugins)
    with ConsoleReporter() as reporter:
        reporter.stage("check", "Reading every case")
        has_grid = not lacks_grid(config)
        report = check_data(configuration, reporter, has_grid=has_grid)
    console = Console(highlight=False, markup=False)
    for table in _tables(report):
        console.print(table, "")
    console.print(LEGEND)
    problems = report.problems()
    for kind, sentences in (("Remark", report.remarks()), ("Error", problems)):
        for sentence in sentences:
            console.print(f"{kind}: {sentence}", soft_wrap=True)
    if out is not None:
        patches = draw_site_patches(configuration, SHOWN_PATCHES) if has_grid else []
        typer.echo(f"Written: {write_report(report, out, patches)}")
        if importlib.util.find_spec("matplotlib") is None:
            typer.echo("The page has no pictures, because matplotlib is not installed.")
    if problems:
        raise DataError(f"The data have {counted(len(problems), 'error')}.", "See above.")
    typer.echo("No errors were found.")


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
    anatomy: Annotated[
        Anatomy,
        typer.Option(
            help="organ: one bright organ, small and easy to segment. pelvis: a prostate-like organ "
            "in images like T2 MR of several centres, hard to segment."
        ),
    ] = "organ",
    sites: Annotated[
        int, typer.Option(help="Number of synthetic hospitals, 1 to 1024; 1 to 4 for pelvis.")
    ] = 4,
    cases: Annotated[int, typer.Option(help="Number of cases per hospital, at least 3.")] = 8,
    shift: Annotated[
        float | None,
        typer.Option(
            help="How much the hospitals of organ differ, from 0 (not at all) over 1 (strongly, the "
            "default) to 3."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of all random numbers; the same seed gives the same files.")
    ] = 0,
) -> None:
    """Write synthetic hospitals and a configuration.

    `fedcross train` can train on them.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.training.data.phantom.federation import write_phantom_federation
    from fedcross.training.data.phantom.pelvis.federation import write_pelvis_federation

    if anatomy == "pelvis" and shift is not None:
        raise ConfigError(
            f"--shift is only for the anatomy organ, got {shift:g} with pelvis.", "Leave it out."
        )
    with ConsoleReporter() as reporter:

        def progress(done: int, total: int) -> None:
            reporter.progress(done, total, "phantom")

        reporter.stage("phantom", f"Writing {sites} synthetic hospitals")
        if anatomy == "pelvis":
            config = write_pelvis_federation(
                folder, sites=sites, cases=cases, seed=seed, progress=progress
            )
        else:
            config = write_phantom_federation(
                folder,
                sites=sites,
                cases=cases,
                shift=1.0 if shift is None else shift,
                seed=seed,
                progress=progress,
            )
    typer.echo(f"Written: {folder}. Next: fedcross train {config} --out RUN")
