"""The command `fedcross segment`."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from fedcross.commands.options import AllowPlugin, Backend, Device, Precision
from fedcross.contract.measures import Measure
from fedcross.contract.request import EVENTS_FLAG, HELP, RequestOptions, SegmentRequest, flag
from fedcross.errors import ConfigError

DEFAULTS = RequestOptions()


def segment(
    bundle: Annotated[Path, typer.Option(help=HELP["bundle"])],
    out: Annotated[Path, typer.Option(help=HELP["out"])],
    image: Annotated[list[Path] | None, typer.Option(help=HELP["image"])] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Many volumes: a folder, a raw data set of nnU-Net, or a list (CSV, JSON). OUT gets a "
            "folder for each case, and a table. What is finished is not computed again."
        ),
    ] = None,
    series_root: Annotated[
        Path | None, typer.Option(help="Many volumes: every series in a tree of DICOM folders.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="With many volumes: how many are segmented at the same time.")
    ] = 1,
    flat: Annotated[
        bool,
        typer.Option(
            "--flat", help="With many volumes: also write OUT/CASE.nii.gz, as nnU-Net does."
        ),
    ] = False,
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
    """Segment volumes and map the uncertainty.

    Every member of the bundle segments; the map shows where the ensemble is uncertain.
    """
    options = RequestOptions(
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
    if sum(map(bool, (image, images, series_root))) != 1:
        raise ConfigError("Give one of --image, --images and --series-root.", "See --help.")
    if image:
        _refuse("--image", {"--workers": workers > 1, "--flat": flat})
        raise typer.Exit(_segment_one(bundle, image, out, series or [], options, events))
    _refuse("many volumes", {"--series": series, "--events": events})
    from fedcross.commands.batch import ManyVolumes, segment_many

    many = ManyVolumes(bundle, out, images, series_root, options, workers, flat)
    raise typer.Exit(segment_many(many))


def _refuse(what: str, given: Mapping[str, object]) -> None:
    """Raise `ConfigError` for the first option that was given but has no meaning here."""
    for name, value in given.items():
        if value:
            raise ConfigError(f"{name} has no meaning with {what}.", "Leave it out.")


def _segment_one(
    bundle: Path,
    images: Sequence[Path],
    out: Path,
    series: Sequence[str],
    options: RequestOptions,
    events: bool,
) -> int:
    from fedcross.commands.console import ConsoleReporter
    from fedcross.commands.result import result_lines
    from fedcross.infer.__main__ import run

    def request() -> SegmentRequest:
        values = {each.name: getattr(options, each.name) for each in fields(options)}
        first, *further = images
        return SegmentRequest(
            bundle, first, out, further=tuple(further), series=tuple(series), **values
        )

    if events:
        return run(request, events=True)
    with ConsoleReporter() as reporter:
        return run(
            request,
            reporter=reporter,
            show=lambda summary: reporter.result("\n".join(result_lines(summary))),
        )
