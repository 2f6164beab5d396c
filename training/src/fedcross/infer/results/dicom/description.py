"""The description of the ensemble in DICOM results. No DICOM library is loaded here."""

from typing import Annotated, Self

from pydantic import Field

from fedcross.model.bundle import Bundle
from fedcross.runtime.versions import __version__
from fedcross.volumes.structure import StrictModel, Structure

_LONGEST = 500
"""Characters of a text."""


class EnsembleDescription(StrictModel):
    """The part of a bundle that DICOM results need; it can be stored as JSON.

    Attributes
    ----------
    name, sha256, created : str
        Name of the bundle, SHA-256 (hex) of its manifest, date of its training.
    version : str
        Version of this package that segmented.
    members : int
        Number of members.
    structures : tuple of Structure
        The structures in the order of their labels 1, 2, 3, ...
    """

    name: Annotated[str, Field(max_length=_LONGEST)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: Annotated[str, Field(max_length=_LONGEST)]
    version: Annotated[str, Field(max_length=_LONGEST)]
    members: Annotated[int, Field(ge=1)]
    structures: Annotated[tuple[Structure, ...], Field(min_length=1, max_length=255)]

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Return the description of a bundle."""
        manifest = bundle.manifest
        return cls(
            name=manifest.name,
            sha256=bundle.sha256,
            created=manifest.provenance.created,
            version=__version__,
            members=len(manifest.members),
            structures=tuple(manifest.structures),
        )
