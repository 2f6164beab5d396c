"""The command `fedcross profile`."""

from pathlib import Path
from typing import Annotated

import typer

from fedcross.commands.options import (
    AllowPlugin,
    Backend,
    BundleCopy,
    Device,
    PartNames,
    Precision,
    SiteNames,
    SitesRoot,
    split_names,
)
from fedcross.contract.request import HELP


def profile(
    bundle: Annotated[Path, typer.Argument(help=HELP["bundle"])],
    data: Annotated[Path, typer.Option(help="TOML configuration with the sites of the cases.")],
    out: BundleCopy,
    part: PartNames = "train,validation",
    sites: SiteNames = None,
    device: Device = "auto",
    precision: Precision = "auto",
    backend: Backend = "auto",
    data_root: SitesRoot = None,
    allow_plugin: AllowPlugin = None,
) -> None:
    """Let a bundle notice scans unlike those of its sites.

    It records what the sites' cases have in common. Calibrate the bundle first: its temperature must
    not change afterwards.
    """
    from fedcross.calibration.profile_bundle import profile as make_profile
    from fedcross.commands.console import ConsoleReporter
    from fedcross.commands.outcome import next_step

    with ConsoleReporter() as reporter:
        made = make_profile(
            bundle,
            data,
            out,
            parts=split_names(part),
            sites=None if sites is None else split_names(sites),
            device=device,
            precision=precision,
            backend=backend,
            data_root=data_root,
            reporter=reporter,
        )
    typer.echo(f"Profile of {sum(made.counts)} cases of {len(made.counts)} sites: {out}")
    typer.echo(next_step("segment", "--bundle", out, "--image", "VOLUME", "--out", "RESULT"))
