"""The commands `fedcross bundle ...`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedcross.commands.options import AllowPlugin
from fedcross.contract.plain_text import counted, plain_text

if TYPE_CHECKING:
    from fedcross.model.architecture import Architecture
    from fedcross.volumes.preprocessing import Preprocessing

LONGEST_VALUE = 4000
"""Characters of a value that `show` prints."""

app = typer.Typer(help="Show, check, pack and import bundles.", no_args_is_help=True)
BundlePath = Annotated[Path, typer.Argument(help="Bundle: a folder or a .zip file.")]


@app.command("verify")
def verify(bundle: BundlePath, allow_plugin: AllowPlugin = None) -> None:
    """Check metadata, hashes and tensors of a bundle."""
    from fedcross.model.bundle import verify_bundle

    verify_bundle(bundle)
    typer.echo(f"{bundle} is valid.")


@app.command("show")
def show(bundle: BundlePath) -> None:
    """Print the contents and the origin of a bundle."""
    from fedcross.model.bundle import open_bundle
    from fedcross.model.calibration_text import describe_calibration

    with open_bundle(bundle) as opened:
        manifest, sha256 = opened.manifest, opened.sha256
    preprocessing = manifest.preprocessing
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in (
        ("Name", manifest.name),
        ("SHA-256", sha256),
        ("Members", str(len(manifest.members))),
        ("Structures", ", ".join(structure.name for structure in manifest.structures)),
        ("Sites", ", ".join(manifest.sites) or "not recorded"),
        ("Network", _network_name(manifest.architecture)),
        *_describe_channels(preprocessing),
        ("Spacing", " x ".join(f"{side:g}" for side in preprocessing.spacing_mm) + " mm"),
        ("Intensities", preprocessing.describe_intensity()),
        ("Patch", " x ".join(str(side) for side in preprocessing.patch_size) + " voxels"),
        *describe_calibration(manifest.calibration),
        ("Source", manifest.provenance.source or "not recorded"),
        ("Made", manifest.provenance.created),
    ):
        table.add_row(name, Text(plain_text(value, LONGEST_VALUE)))
    Console(highlight=False).print(table)


def _describe_channels(preprocessing: "Preprocessing") -> list[tuple[str, str]]:
    """Return one row with the modality, or one with all channels and their modalities."""
    if not preprocessing.channels:
        return [("Modality", preprocessing.modality or "not recorded")]
    pairs = zip(preprocessing.channel_names, preprocessing.modalities, strict=True)
    named = (f"{name} ({modality})" if modality else name for name, modality in pairs)
    return [("Channels", ", ".join(named))]


def _network_name(architecture: "Architecture") -> str:
    from fedcross.model.architecture import CustomArchitecture

    if isinstance(architecture, CustomArchitecture):
        return str(architecture.plugin)
    return architecture.name


@app.command("pack")
def pack(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder.")],
    zip_path: Annotated[Path, typer.Argument(metavar="ZIP", help="File to write.")],
    allow_plugin: AllowPlugin = None,
) -> None:
    """Pack a bundle folder into one .zip file."""
    from fedcross.model.bundle_zip import pack_bundle

    pack_bundle(bundle, zip_path)
    typer.echo(f"Packed: {zip_path}")


@app.command("import-reference")
def import_reference(
    checkpoint: Annotated[Path, typer.Argument(help="The authors' .pth.tar file.")],
    bundle: Annotated[Path, typer.Argument(help="Bundle folder to create.")],
    spacing: Annotated[
        tuple[float, float, float],
        typer.Option(help="Voxel size x y z in mm that the networks were trained with."),
    ] = (
        0.5,
        0.5,
        1.0,
    ),
    patch: Annotated[
        tuple[int, int, int],
        typer.Option(help="Patch size x y z in voxels that the networks were trained with."),
    ] = (
        160,
        160,
        32,
    ),
    structure: Annotated[
        str, typer.Option(help="Name of the structure that the networks segment.")
    ] = "Prostate",
) -> None:
    """Make a bundle of the authors' checkpoint.

    The checkpoint is one of the code of the paper (DIAL-RPI/FedCross).
    """
    from fedcross.commands.outcome import next_step
    from fedcross.model.reference import import_reference_checkpoint

    made = import_reference_checkpoint(
        checkpoint, bundle, spacing_mm=spacing, patch_size=patch, structure=structure
    )
    typer.echo(f"Imported {counted(len(made.manifest.members), 'member')}: {bundle}")
    typer.echo(next_step("segment", "--bundle", bundle, "--image", "VOLUME", "--out", "RESULT"))
