"""The command `fedcross evaluate`: a bundle on labelled cases."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedcross.commands.options import (
    AllowPlugin,
    Backend,
    CasesAtOnce,
    Device,
    Precision,
    SitesRoot,
    tell_what_is_kept,
)
from fedcross.contract.measures import Measure
from fedcross.contract.plain_text import plain_text
from fedcross.contract.request import HELP, RequestOptions

if TYPE_CHECKING:
    from fedcross.study.evaluate.evaluation import Evaluation

DEFAULTS = RequestOptions()
NONE = "-"


def evaluate(
    bundle: Annotated[Path, typer.Argument(help=HELP["bundle"])],
    out: Annotated[Path, typer.Option(help="Folder for the tables and the page.")],
    data: Annotated[
        Path | None, typer.Option(help="TOML configuration with the sites and their cases.")
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="CSV or JSON file with image and label of each case, in place of --data; the label "
            "values are those of the bundle.",
        ),
    ] = None,
    root: SitesRoot = None,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="Cases to use: train, validation or test (default); may be given several times."
        ),
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(help="Site to use; may be given several times. By default all."),
    ] = None,
    band: Annotated[
        float, typer.Option(help="Distance from the borders within which voxels are near them, mm.")
    ] = 10.0,
    measure: Annotated[Measure, typer.Option(help=HELP["measure"])] = DEFAULTS.measure,
    device: Device = DEFAULTS.device,
    precision: Precision = DEFAULTS.precision,
    backend: Backend = DEFAULTS.backend,
    workers: CasesAtOnce = 1,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Measure a bundle on labelled cases.

    The page shows accuracy, uncertainty, verdicts and hot spots.

    Finished cases in OUT are reused.
    """
    from fedcross.commands.console import ConsoleReporter
    from fedcross.commands.outcome import evaluate_lines
    from fedcross.study.evaluate.evaluate import evaluate as evaluate_bundle
    from fedcross.study.evaluate.run import PAGE

    with tell_what_is_kept("Finished cases"), ConsoleReporter() as reporter:
        evaluation = evaluate_bundle(
            bundle,
            data,
            out,
            cases=cases,
            data_root=root,
            parts=tuple(part or ("test",)),
            sites=site,
            band_mm=band,
            options=RequestOptions(
                measure=measure, device=device, precision=precision, backend=backend
            ),
            workers=workers,
            reporter=reporter,
        )
    console = Console(highlight=False)
    console.print(_main_figures(evaluation))
    console.print(f"{NONE} stands for a figure that these cases do not have.")
    typer.echo("\n".join(evaluate_lines(evaluation, bundle, out / PAGE)))


def _main_figures(evaluation: "Evaluation") -> Table:
    """Return a small table: a column for each structure."""
    shared = ", all structures" if len(evaluation.structures) > 1 else ""
    near = f"within {evaluation.band_mm:g} mm"
    measure, band = evaluation.measure, evaluation.voxels["band"]
    columns = evaluation.structures.values()
    found = {} if evaluation.review is None else evaluation.review.found_share
    rows = {
        "Dice": [f"{each.predictors['ensemble'].dice:.3f}" for each in columns],
        "HD95, mm": [f"{each.predictors['ensemble'].hd95_mm:.1f}" for each in columns],
        f"ECE, {near}": [_text(each.calibration["band"].ece) for each in columns],
        "Spearman of agreement and Dice": [
            _text(each.rankings["agreement"].spearman if "agreement" in each.rankings else None)
            for each in columns
        ],
        "true volume in the members' range": [
            f"{each.in_range.count} of {each.in_range.cases}" for each in columns
        ],
        f"AUROC of {measure} for errors, {near}{shared}": [_text(band.auroc.get(measure))],
        f"error in the first 10 places{shared}": [_text(found.get("ranked"))],
        f"error in 10 places at random{shared}": [_text(found.get("random"))],
    }
    table = Table("")
    for structure in evaluation.structures:
        table.add_column(Text(plain_text(structure)))
    for name, values in rows.items():
        table.add_row(name, *values)
    return table


def _text(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
