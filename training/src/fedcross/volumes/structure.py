"""A segmented structure: its name, its value in label maps, its colour and its codes."""

import re
from typing import Annotated

from pydantic import ConfigDict, Field

from fedcross.runtime.stable_record import StableRecord

Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f/\\]+$")]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
# "^" and "~" separate the fields of Slicer's terminology entries.
CodeText = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\^~|\x00-\x1f]+$")]


def slug(name: str) -> str:
    """Return a name for files: lower-case ASCII letters, digits and underscores; may be empty."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()


class StrictModel(StableRecord):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Code(StrictModel):
    """A coded concept as in DICOM: coding scheme, code value, code meaning."""

    scheme: CodeText = "SCT"
    value: CodeText
    meaning: CodeText


ANATOMICAL_STRUCTURE = Code(value="123037004", meaning="Anatomical Structure")
ORGAN = Code(value="113343008", meaning="Organ")


class Structure(StrictModel):
    """One segmented structure.

    Attributes
    ----------
    name : str
        Name shown to users.
    label : int
        Value in label maps and index of the network's output channel, 1 to 255.
    color : tuple of float
        (red, green, blue), each from 0 to 1.
    category, type : Code
        Category and type in Slicer's terminology.
    """

    name: Name
    label: Annotated[int, Field(ge=1, le=255, description="Value in label maps.")]
    color: tuple[Unit, Unit, Unit] = (0.9, 0.6, 0.3)
    category: Code = ANATOMICAL_STRUCTURE
    type: Code = ORGAN

    @property
    def slug(self) -> str:
        """The name for files; see `slug`."""
        return slug(self.name) or f"label_{self.label}"
