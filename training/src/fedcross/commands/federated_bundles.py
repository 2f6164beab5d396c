"""The commands `fedcross federation calibrate` and `fedcross federation profile`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from fedcross.commands.calibrate import PoolingOption
from fedcross.commands.options import AllowPlugin, BundleCopy, Device, PartNames, split_names
from fedcross.commands.outcome import next_step
from fedcross.contract.plain_text import counted

OptionalKit = Annotated[
    Path | None,
    typer.Option(
        "--kit",
        envvar="FEDCROSS_KIT",
        help="The coordinator's startup kit (admin/), to ask the hospitals.",
    ),
]
BundleArgument = Annotated[Path, typer.Argument(help="Bundle: a folder or a .zip file.")]
SitesArgument = Annotated[Path, typer.Argument(help="TOML configuration with the sites.")]
_Made = TypeVar("_Made")


def calibrate(
    bundle: BundleArgument,
    config: SitesArgument,
    out: BundleCopy,
    kit: OptionalKit = None,
    part: PartNames = "validation",
    pooling: PoolingOption = "shrunk",
    device: Device = "auto",
    allow_plugin: AllowPlugin = None,
) -> None:
    """Calibrate a bundle with the hospitals' cases.

    Only counts and sums over labelled cases leave a hospital.
    """
    from fedcross.federate.calibrating import calibrate_federation

    ask = partial(calibrate_federation, pooling=pooling, device=device, kit=kit)
    made = _make(ask, bundle, config, out, part)
    typer.echo(
        f"Calibrated with {counted(made.cases, 'case')} of {counted(made.sites, 'site')}: {out}"
    )
    asked = () if kit is None else ("--kit", kit)
    typer.echo(
        next_step(
            *("federation", "profile", out, config, *asked, "--out", "PROFILED"),
            why="so that unfamiliar scans are noticed",
        )
    )


def profile(
    bundle: BundleArgument,
    config: SitesArgument,
    out: BundleCopy,
    kit: OptionalKit = None,
    part: PartNames = "train,validation",
    device: Device = "auto",
    allow_plugin: AllowPlugin = None,
) -> None:
    """Let a bundle notice scans unlike the hospitals'.

    It records what the hospitals' cases have in common. Only means, covariances and counts leave a
    hospital. Calibrate the bundle first: its temperature must not change afterwards.
    """
    from fedcross.federate.profiling import profile_federation

    ask = partial(profile_federation, device=device, kit=kit)
    made = _make(ask, bundle, config, out, part)
    cases, sites = counted(sum(made.counts), "case"), counted(len(made.counts), "site")
    typer.echo(f"Profile of {cases} of {sites}: {out}")
    typer.echo(next_step("segment", "--bundle", out, "--image", "VOLUME", "--out", "RESULT"))


def _make(ask: Callable[..., _Made], bundle: Path, config: Path, out: Path, part: str) -> _Made:
    """Ask the sites in the configuration about their cases, and return what they made."""
    from fedcross.commands.console import ConsoleReporter
    from fedcross.training.config.file import load_config

    with ConsoleReporter() as reporter:
        return ask(bundle, load_config(config), out, parts=split_names(part), reporter=reporter)
