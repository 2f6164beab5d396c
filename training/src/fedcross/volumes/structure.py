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

    scheme: CodeText = Field(default="SCT", description="Coding scheme; SCT is SNOMED CT.")
    value: CodeText = Field(description="Code value.")
    meaning: CodeText = Field(description="Code meaning, in words.")


ANATOMICAL_STRUCTURE = Code(value="123037004", meaning="Anatomical Structure")
ORGAN = Code(value="113343008", meaning="Organ")


class Structure(StrictModel):
    """One segmented structure."""

    name: Name = Field(description="Name shown to users.")
    label: Annotated[int, Field(ge=1, le=255)] = Field(
        description="Value in label maps and index of the network's output channel: 1, 2, 3 and so on, "
        "in the order of the structures."
    )
    color: tuple[Unit, Unit, Unit] = Field(
        default=(0.9, 0.6, 0.3), description="Red, green and blue, each from 0 to 1."
    )
    category: Code = Field(
        default=ANATOMICAL_STRUCTURE, description="Category in Slicer's terminology and in DICOM."
    )
    type: Code = Field(default=ORGAN, description="Type in Slicer's terminology and in DICOM.")

    @property
    def slug(self) -> str:
        """The name for files; see `slug`."""
        return slug(self.name) or f"label_{self.label}"
