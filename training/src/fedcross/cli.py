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
from rich.table import Table

from fedcross.errors import DataError, FedCrossError
from fedcross.method.uncertainty import Measure

app = typer.Typer(
    help="Train segmentation ensembles across hospitals; segment, and see where not to trust it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
bundle_app = typer.Typer(help="Look at, check, pack and import bundles.", no_args_is_help=True)
app.add_typer(bundle_app, name="bundle")
data_app = typer.Typer(
    help="Check a federation's data, or make synthetic ones.", no_args_is_help=True
)
app.add_typer(data_app, name="data")

Device = Annotated[str, typer.Option(help="auto, cpu, or a GPU such as cuda:0.")]
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
    device: Device = "auto",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that the configuration's data paths are relative to."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps preprocessed cases for later runs.")
    ] = None,
) -> None:
    """Train as the configuration says: FedCross, FedCrossEns or a method to compare with."""
    from fedcross.console import ConsoleReporter
    from fedcross.federate.local import run_local
    from fedcross.train.config import load_config

    configuration = load_config(config, data_root=data, cache=cache)
    with ConsoleReporter() as reporter:
        run_local(configuration, out, resume=resume, device=device, reporter=reporter)
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
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that the configuration's data paths are relative to."),
    ] = None,
) -> None:
    """Run several methods on the same splits and budget, and compare them on one page.

    Finished runs in OUT are kept, an interrupted one goes on.
    """
    from fedcross.console import ConsoleReporter
    from fedcross.federate.compare import compare as run_comparison
    from fedcross.train.config import load_config

    configuration = load_config(config, data_root=data)
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


@data_app.command("check")
def data_check(
    config: Annotated[Path, typer.Argument(help="TOML configuration.")],
    out: Annotated[Path | None, typer.Option(help="Folder for data.json and data.html.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that the configuration's data paths are relative to."),
    ] = None,
) -> None:
    """Read every case and say what is wrong, odd or there twice; exit code 2 if anything is wrong."""
    from fedcross.console import ConsoleReporter
    from fedcross.federate.data_page import write_report
    from fedcross.train.config import load_config
    from fedcross.train.data_check import check_data
    from fedcross.train.data_report import HEADING, overview

    configuration = load_config(config, data_root=data)
    with ConsoleReporter() as reporter:
        reporter.stage("check", "Reading every case")
        report = check_data(configuration, reporter)
    console = Console(highlight=False)
    table = Table(*HEADING, box=None, pad_edge=False)
    for row in overview(report):
        table.add_row(*row)
    console.print(table)
    problems = report.problems()
    for kind, sentences in (("Worth a look", report.remarks()), ("Wrong", problems)):
        for sentence in sentences:
            console.print(f"{kind}: {sentence}", markup=False, soft_wrap=True)
    if out is not None:
        typer.echo(f"Written: {write_report(report, out)}")
    if problems:
        raise DataError(f"The data have {len(problems)} mistakes.", "They are named above.")


@data_app.command("phantom")
def data_phantom(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    sites: Annotated[int, typer.Option(help="Synthetic hospitals.")] = 4,
    cases: Annotated[int, typer.Option(help="Patients of each.")] = 8,
    shift: Annotated[
        float, typer.Option(help="How much the hospitals differ: 0 not at all, 1 strongly.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Decides everything.")] = 0,
) -> None:
    """Write synthetic hospitals and a configuration that trains them."""
    from fedcross.console import ConsoleReporter
    from fedcross.train.phantom_federation import write_phantom_federation

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


@bundle_app.command("verify")
def bundle_verify(bundle: Annotated[Path, typer.Argument()]) -> None:
    """Check every part of a bundle: schema, hashes, tensors."""
    from fedcross.model.bundle import verify_bundle

    verify_bundle(bundle)
    typer.echo(f"{bundle} is sound.")


@bundle_app.command("show")
def bundle_show(bundle: Annotated[Path, typer.Argument()]) -> None:
    """Say what a bundle holds and where it comes from."""
    from fedcross.model.bundle import open_bundle

    with open_bundle(bundle) as opened:
        manifest, sha256 = opened.manifest, opened.sha256
    preprocessing = manifest.preprocessing
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("Name", manifest.name),
        ("Identity", sha256),
        ("Members", str(len(manifest.members))),
        ("Structures", ", ".join(structure.name for structure in manifest.structures)),
        ("Sites", ", ".join(manifest.sites) or "not recorded"),
        ("Network", manifest.architecture.name),
        ("Modality", preprocessing.modality or "not recorded"),
        ("Spacing", " x ".join(f"{side:g}" for side in preprocessing.spacing_mm) + " mm"),
        ("Patch", " x ".join(str(side) for side in preprocessing.patch_size) + " voxels"),
        ("Source", manifest.provenance.source or "not recorded"),
        ("Made", manifest.provenance.created),
    ):
        table.add_row(name, value)
    Console(highlight=False).print(table)


@bundle_app.command("pack")
def bundle_pack(
    bundle: Annotated[Path, typer.Argument()],
    zip_path: Annotated[Path, typer.Argument(metavar="ZIP")],
) -> None:
    """Put a bundle into one .zip."""
    from fedcross.model.bundle import pack_bundle

    pack_bundle(bundle, zip_path)
    typer.echo(f"Packed: {zip_path}")


@bundle_app.command("import-reference")
def bundle_import_reference(
    checkpoint: Annotated[Path, typer.Argument(help="The authors' .pth.tar file.")],
    bundle: Annotated[Path, typer.Argument(help="Bundle folder to make.")],
    spacing: Annotated[tuple[float, float, float], typer.Option(help="Voxel size x y z in mm.")] = (
        0.5,
        0.5,
        1.0,
    ),
    patch: Annotated[tuple[int, int, int], typer.Option(help="Patch x y z in voxels.")] = (
        160,
        160,
        32,
    ),
    structure: Annotated[str, typer.Option(help="What the checkpoint segments.")] = "Prostate",
) -> None:
    """Make a bundle of a checkpoint trained with the authors' code (DIAL-RPI/FedCross)."""
    from fedcross.model.reference import import_reference_checkpoint

    made = import_reference_checkpoint(
        checkpoint, bundle, spacing_mm=spacing, patch_size=patch, structure=structure
    )
    typer.echo(f"Imported {len(made.manifest.members)} members: {bundle}")


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
