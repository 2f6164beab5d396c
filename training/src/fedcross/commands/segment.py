"""The command `fedcross segment`."""

from pathlib import Path
from typing import Annotated

import typer

from fedcross.commands.options import AllowPlugin, Backend, Device, Precision
from fedcross.contract.measures import Measure
from fedcross.contract.request import EVENTS_FLAG, HELP, RequestOptions, SegmentRequest, flag

DEFAULTS = RequestOptions()


def segment(
    bundle: Annotated[Path, typer.Option(help=HELP["bundle"])],
    image: Annotated[list[Path], typer.Option(help=HELP["image"])],
    out: Annotated[Path, typer.Option(help=HELP["out"])],
    series: Annotated[list[str] | None, typer.Option(help=HELP["series"])] = None,
    measure: Annotated[Measure, typer.Option(help=HELP["measure"])] = DEFAULTS.measure,
    device: Device = DEFAULTS.device,
    precision: Precision = DEFAULTS.precision,
    backend: Backend = DEFAULTS.backend,
    roi: Annotated[Path | None, typer.Option(help=HELP["roi"])] = DEFAULTS.roi,
    localise: Annotated[
        bool, typer.Option(flag("localise"), help=HELP["localise"])
    ] = DEFAULTS.localise,
    save_probabilities: Annotated[
        bool, typer.Option(flag("save_probabilities"), help=HELP["save_probabilities"])
    ] = DEFAULTS.save_probabilities,
    save_members: Annotated[
        bool, typer.Option(flag("save_members"), help=HELP["save_members"])
    ] = DEFAULTS.save_members,
    for_viewer: Annotated[
        bool, typer.Option(flag("for_viewer"), help=HELP["for_viewer"])
    ] = DEFAULTS.for_viewer,
    dicom: Annotated[bool, typer.Option(flag("dicom"), help=HELP["dicom"])] = DEFAULTS.dicom,
    dicom_labelmap: Annotated[
        bool, typer.Option(flag("dicom_labelmap"), help=HELP["dicom_labelmap"])
    ] = DEFAULTS.dicom_labelmap,
    max_memory_gb: Annotated[
        float | None, typer.Option(min=0, help=HELP["max_memory_gb"])
    ] = DEFAULTS.max_memory_gb,
    max_hours: Annotated[float, typer.Option(min=0, help=HELP["max_hours"])] = DEFAULTS.max_hours,
    events: Annotated[bool, typer.Option(EVENTS_FLAG, help=HELP["events"])] = False,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Segment a volume with every member and map where they disagree."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.infer.__main__ import run

    def request() -> SegmentRequest:
        return SegmentRequest(
            bundle,
            image[0],
            out,
            further=tuple(image[1:]),
            series=tuple(series or ()),
            measure=measure,
            device=device,
            precision=precision,
            backend=backend,
            roi=roi,
            localise=localise,
            save_probabilities=save_probabilities,
            save_members=save_members,
            for_viewer=for_viewer,
            dicom=dicom,
            dicom_labelmap=dicom_labelmap,
            max_memory_gb=max_memory_gb,
            max_hours=max_hours,
        )

    if events:
        raise typer.Exit(run(request, events=True))
    with ConsoleReporter() as reporter:
        code = run(request, reporter=reporter)
    raise typer.Exit(code)
