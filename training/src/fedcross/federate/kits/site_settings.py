"""A hospital's own settings: a file in its startup kit, which is never sent anywhere.

::

    data = "/data/fedcross"                  # folder that the federation's data paths are relative to
    share = ["loss", "validation", "cases", "data", "calibration", "profile"]  # what the hospital shares
    device = "auto"
    requires_approval = false                # true: every configuration needs this hospital's approval
    plugins = []                             # installed packages whose code a job may use here
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from fedcross.contract.parse import parse_toml
from fedcross.contract.plain_text import plain_text
from fedcross.errors import ConfigError
from fedcross.model.plugin import PackageName
from fedcross.runtime.files.whole_file import read_file
from fedcross.training.config.errors import explain
from fedcross.training.config.sections import Section

SITE_FILE = "site.toml"  # in the kit's folder local/

Figure = Literal["loss", "validation", "cases", "data", "calibration", "profile"]


class SiteSettings(Section):
    """Content of a hospital's ``local/site.toml``."""

    data: Path = Field(description="Folder that the federation's data paths are relative to.")
    share: tuple[Figure, ...] = Field(
        default=("loss", "validation", "cases"),
        description="Figures that the hospital shares: loss, the mean training loss of a visit and its "
        "number of skipped steps; validation, the members' validation and test Dice; cases, the "
        "number of cases; data, for a plan, the sizes, spacings, intensities and labelled volumes of "
        "its cases; calibration, for the calibration of a bundle, curves over its labelled cases; "
        "profile, for the profile of a bundle, means and covariances over its cases. An "
        "empty list shares none; when left out, loss, validation and cases are shared.",
    )
    device: Annotated[str, Field(min_length=1)] = Field(
        default="auto", description="auto, cpu, or a GPU such as cuda:0."
    )
    cache: Path | None = Field(
        default=None,
        description="Folder that keeps preprocessed cases; when left out, none are kept.",
    )

    configuration: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the only configuration that this hospital agrees to; every other one "
        "is refused. When left out, every configuration is accepted.",
    )

    requires_approval: bool = Field(
        default=False,
        description="Whether every configuration needs this hospital's own approval before anything is "
        "done here, see `fedcross site approvals`. False by default.",
    )

    plugins: tuple[PackageName, ...] = Field(
        default=(),
        description="Installed packages whose code a job may use at this hospital, for a network, loss, "
        "augmentation or optimiser. A job cannot allow them itself. Empty by default.",
    )

    @field_validator("data", "cache")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_absolute():
            raise ValueError(f"must be an absolute path, got {path}")
        return path


def load_site_settings(kit: Path) -> SiteSettings:
    """Read the settings in a hospital's startup kit.

    Parameters
    ----------
    kit
        Folder of the kit.

    Raises
    ------
    ConfigError
        If the file is missing or not valid; the message names the key and the allowed values.
    """
    path = kit / "local" / SITE_FILE
    try:
        values = parse_toml(read_file(path).decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"The startup kit {kit.name} has no readable local/{SITE_FILE}: "
            f"{error.strerror or error}."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"local/{SITE_FILE} of {kit.name} is not UTF-8: byte {error.start + 1} is "
            f"0x{error.object[error.start]:02x}.",
            "Save it in UTF-8.",
        ) from error
    except ValueError as error:
        shown = plain_text(str(error), 200)
        raise ConfigError(f"local/{SITE_FILE} of {kit.name} is not valid TOML: {shown}.") from error
    try:
        return SiteSettings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            f"local/{SITE_FILE}: {explain(error, SiteSettings, frozenset())}"
        ) from error
