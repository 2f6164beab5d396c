"""The command `fedcross calibrate`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fedcross.commands.options import (
    AllowPlugin,
    Backend,
    BundleCopy,
    CasesAtOnce,
    Device,
    PartNames,
    Precision,
    SiteNames,
    SitesRoot,
    split_names,
)
from fedcross.contract.request import HELP

PoolingOption = Annotated[
    Literal["pooled", "per-site", "shrunk"],
    typer.Option(
        help="Where intervals and contours hold. shrunk: at nine of ten sites, also new ones; "
        "pooled: for the cases of all sites together; per-site: at each of these sites, by its own "
        "cases alone."
    ),
]


def calibrate(
    bundle: Annotated[Path, typer.Argument(help=HELP["bundle"])],
    data: Annotated[
        Path, typer.Option(help="TOML configuration with the sites of the labelled cases.")
    ],
    out: BundleCopy,
    part: PartNames = "validation",
    sites: SiteNames = None,
    pooling: PoolingOption = "shrunk",
    device: Device = "auto",
    precision: Precision = "auto",
    backend: Backend = "auto",
    data_root: SitesRoot = None,
    workers: CasesAtOnce = 1,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Calibrate a bundle with labelled cases.

    It then gives volume intervals, a predicted Dice, and inner and outer contours.

    The cases must not have trained the members.
    """
    from fedcross.calibration.calibrate import calibrate as calibrate_bundle
    from fedcross.commands.console import ConsoleReporter
    from fedcross.commands.outcome import calibrate_lines

    with ConsoleReporter() as reporter:
        made = calibrate_bundle(
            bundle,
            data,
            out,
            parts=split_names(part),
            sites=None if sites is None else split_names(sites),
            pooling=pooling,
            device=device,
            precision=precision,
            backend=backend,
            data_root=data_root,
            workers=workers,
            reporter=reporter,
        )
    typer.echo("\n".join(calibrate_lines(made, out, data)))
