"""The configuration's section ``[start]``: a bundle whose members the run begins from."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from fedcross.errors import ConfigError
from fedcross.model.bundle import open_bundle
from fedcross.training.config.sections import Count, Section


class StartConfig(Section):
    """The bundle from whose members a run begins; without it their first weights are random.

    The identity of the bundle belongs to the identity of the run, its path does not.
    """

    bundle: Path | None = Field(
        default=None,
        exclude=True,
        description="Bundle, a folder or a .zip, relative to the configuration file. Its network and "
        "structures must be those of the configuration. It is read when the run begins, and not needed "
        "to resume it. When left out, the first weights are drawn with the seed.",
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None,
        description="SHA-256 that identifies the bundle. When left out, it is filled in from the "
        "bundle; a hospital that has no copy of the bundle needs it to check the configuration.",
    )
    members: tuple[Count, ...] = Field(
        default=(),
        description="Members of the bundle to begin from, counted from 0: one for every member of the "
        "run, or one for all of them. A member may be named more than once. When empty, all members of "
        "the bundle in their order.",
    )


def identify_start(start: StartConfig, folder: Path) -> StartConfig:
    """Return the section with an absolute path and the bundle's SHA-256.

    Parameters
    ----------
    start
        The section as it is written.
    folder
        Folder that the path is relative to.

    Returns
    -------
    StartConfig
        If there is nothing at the path, the SHA-256 stays as it is written: a run that is resumed does
        not need the bundle.

    Raises
    ------
    ConfigError
        If ``sha256`` is not that of the bundle.
    BundleError
        If the path is not a bundle.
    """
    if start.bundle is None:
        return start
    path = (folder / start.bundle).absolute()
    sha256 = start.sha256
    if path.exists():
        with open_bundle(path) as bundle:
            sha256 = bundle.sha256
    if start.sha256 not in (None, sha256):
        raise ConfigError(f"start.sha256 is {start.sha256}, but the bundle {path} has {sha256}.")
    return start.model_copy(update={"bundle": path, "sha256": sha256})
