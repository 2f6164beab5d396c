"""The command `fedcross segment`."""

from pathlib import Path
from typing import Annotated

import typer

from fedcross.commands.options import Device
from fedcross.uncertainty.measures import Measure


def segment(
    bundle: Annotated[Path, typer.Option(help="Bundle: a folder or a .zip.")],
    image: Annotated[Path, typer.Option(help="NIfTI, NRRD, MetaImage, or a DICOM series folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    measure: Annotated[Measure, typer.Option(help="What the uncertainty map shows.")] = "std",
    device: Device = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
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
    localise: Annotated[
        bool,
        typer.Option(
            "--localise", help="Read only near where the first member sees the structures."
        ),
    ] = False,
    events: Annotated[
        bool, typer.Option("--events", help="One JSON object a line on stdout, for programs.")
    ] = False,
) -> None:
    """Segment a volume with every member and map where they disagree."""
    from fedcross.commands.console import ConsoleReporter
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
        localise=localise,
    )
    if events:
        raise typer.Exit(run(request, events=True))
    with ConsoleReporter() as reporter:
        code = run(request, reporter=reporter)
    raise typer.Exit(code)
