"""The command `fedcross`.

Exit codes: 0 done, 2 bad input or configuration (one sentence on stderr), 1 anything unexpected,
130 interrupted. Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedcross.commands.bundle import app as bundle_app
from fedcross.commands.data import app as data_app
from fedcross.errors import FedCrossError
from fedcross.method.uncertainty import Measure

app = typer.Typer(
    help="Train segmentation ensembles across hospitals; segment, and see where not to trust it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(bundle_app, name="bundle")
app.add_typer(data_app, name="data")

Device = Annotated[str, typer.Option(help="auto, cpu, or a GPU such as cuda:0.")]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data", help="Folder that the configuration's data paths are relative to."),
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder that keeps preprocessed cases for later runs; memory-mapped."),
]
DEBUG_VARIABLE = "FEDCROSS_DEBUG"


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("build/demo"),
    scene_script: Annotated[
        Path | None,
        typer.Option(help="Script that builds the Slicer scene (in a source checkout)."),
    ] = None,
) -> None:
    """Run the whole path on synthetic hospitals: train, bundle, segment, show the disagreement."""
    from fedcross.console import ConsoleReporter
    from fedcross.demo import run_demo

    with ConsoleReporter() as reporter:
        outcome = run_demo(out, reporter, scene_script=scene_script)
    outcome.print(Console(highlight=False))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML configuration.")],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in OUT.")] = False,
    device: Annotated[
        str, typer.Option(help="auto, cpu, or GPUs: cuda:0, or cuda:0,cuda:1 for a member on each.")
    ] = "auto",
    data: DataRoot = None,
    cache: Cache = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write for TensorBoard too, to OUT/tensorboard.")
    ] = False,
) -> None:
    """Train as the configuration says: FedCross, FedCrossEns or a method to compare with."""
    from fedcross.console import ConsoleReporter
    from fedcross.federate.local import run_local
    from fedcross.train.config import load_config

    configuration = load_config(config, data_root=data, cache=cache)
    with ConsoleReporter() as reporter:
        run_local(
            configuration,
            out,
            resume=resume,
            device=device,
            reporter=reporter,
            tensorboard=tensorboard,
        )
    typer.echo(f"Trained: {out}. Next: fedcross export {out} BUNDLE")


@app.command()
def compare(
    config: Annotated[Path, typer.Argument(help="TOML configuration: data, network, budget.")],
    out: Annotated[Path, typer.Option(help="Folder for the runs, the tables and the page.")],
    methods: Annotated[
        str, typer.Option(help="Commas between; options after a colon, as fedprox:mu=0.1.")
    ] = "fedcross-ens,fedcross,fedavg,fedprox,fedbn,local,centralised",
    seeds: Annotated[int, typer.Option(help="Runs of each method.")] = 3,
    device: Device = "auto",
    data: DataRoot = None,
    cache: Cache = None,
) -> None:
    """Run several methods on the same splits and budget, and compare them on one page.

    Finished runs in OUT are kept, an interrupted one goes on.
    """
    from fedcross.console import ConsoleReporter
    from fedcross.federate.compare import compare as run_comparison
    from fedcross.train.config import load_config

    configuration = load_config(config, data_root=data, cache=cache)
    with ConsoleReporter() as reporter:
        page = run_comparison(
            configuration, out, methods=methods, seeds=seeds, device=device, reporter=reporter
        )
    typer.echo(f"Compared: {page}")


@app.command()
def landscape(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the figure and the numbers.")],
    data: Annotated[Path, typer.Option(help="Folder that the run's data paths are relative to.")],
    start: Annotated[
        str, typer.Option(help="Model to set out from: best or last round, or untrained.")
    ] = "best",
    part: Annotated[str, typer.Option(help="Whose loss: validation or train.")] = "validation",
    cycles: Annotated[int, typer.Option(help="Rounds to train, in numbers of sites.")] = 1,
    cases: Annotated[int, typer.Option(help="At most so many cases of each site.")] = 4,
    points: Annotated[int, typer.Option(help="Along each line and side of the plane.")] = 15,
    reestimate: Annotated[
        bool,
        typer.Option(
            "--reestimate/--interpolate",
            help="Batch normalisation's statistics: measured anew for every model, or combined as "
            "the weights are.",
        ),
    ] = True,
    device: Device = "auto",
) -> None:
    """Show where the average of local models and cross-trained models sit on the sites' losses."""
    from fedcross.console import ConsoleReporter
    from fedcross.federate.landscape import FIGURE, LandscapeRequest
    from fedcross.federate.landscape import landscape as look

    request = LandscapeRequest(run, out, data, start, cycles, part, cases, points, reestimate)
    with ConsoleReporter() as reporter:
        look(request, device=device, reporter=reporter)
    typer.echo(f"Measured: {out / FIGURE}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    bundle: Annotated[Path, typer.Argument(help="Bundle folder to make.")],
    which: Annotated[str, typer.Option(help="best (by validation Dice) or last.")] = "best",
) -> None:
    """Make a bundle of a run's members."""
    from fedcross.train.export import export_run

    made = export_run(run, bundle, which=which)
    typer.echo(f"Exported {len(made.manifest.members)} members: {bundle}")


@app.command()
def segment(
    bundle: Annotated[Path, typer.Option(help="Bundle: a folder or a .zip.")],
    image: Annotated[Path, typer.Option(help="NIfTI, NRRD, MetaImage, or a DICOM series folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    measure: Annotated[Measure, typer.Option(help="What the uncertainty map shows.")] = "std",
    device: Device = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    backend: Annotated[
        str, typer.Option(help="What runs the networks: auto, openvino, tuned or torch.")
    ] = "auto",
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="Also write each structure's probability.")
    ] = False,
    save_members: Annotated[
        bool, typer.Option("--save-members", help="Also write each member's own segmentation.")
    ] = False,
    for_viewer: Annotated[
        bool,
        typer.Option("--for-viewer", help="Also write all maps, the members' outlines, distances."),
    ] = False,
    roi: Annotated[
        Path | None, typer.Option(help="JSON file of a box (LPS mm) outside which nothing is done.")
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", help="One JSON object a line on stdout, for programs.")
    ] = False,
) -> None:
    """Segment a volume with every member and map where they disagree."""
    from fedcross.console import ConsoleReporter
    from fedcross.infer.__main__ import run
    from fedcross.infer.segment import SegmentRequest

    request = SegmentRequest(
        bundle=bundle,
        image=image,
        out=out,
        measure=measure,
        device=device,
        precision=precision,
        backend=backend,
        save_probabilities=save_probabilities,
        save_members=save_members,
        roi=roi,
        for_viewer=for_viewer,
    )
    if events:
        raise typer.Exit(run(request, events=True))
    with ConsoleReporter() as reporter:
        code = run(request, reporter=reporter)
    raise typer.Exit(code)


def main() -> None:
    """Run the command line and translate errors, once, at the edge."""
    try:
        app()
    except FedCrossError as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the last stop before the user: no traceback in the face
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        typer.echo(
            f"Unexpected {type(error).__name__}: {error}. "
            f"Set {DEBUG_VARIABLE}=1 for the details and report it.",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
