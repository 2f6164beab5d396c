"""A segmented structure: its name, its value in label maps, its colour and its codes."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f/\\]+$")]
Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
# "^" and "~" separate the fields of Slicer's terminology entries.
CodeText = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\^~|\x00-\x1f]+$")]


def slug(name: str) -> str:
    """Return a name's ASCII letters and digits, as may stand in a file's name; perhaps nothing."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Code(StrictModel):
    """A coded concept, as in DICOM: scheme, value, meaning."""

    scheme: CodeText = "SCT"
    value: CodeText
    meaning: CodeText


ANATOMICAL_STRUCTURE = Code(value="123037004", meaning="Anatomical Structure")
ORGAN = Code(value="113343008", meaning="Organ")


class Structure(StrictModel):
    """One segmented structure."""

    name: Name
    label: Annotated[int, Field(ge=1, le=255, description="Value in label maps; also the channel.")]
    color: tuple[Unit, Unit, Unit] = (0.9, 0.6, 0.3)
    category: Code = ANATOMICAL_STRUCTURE
    type: Code = ORGAN

    @property
    def slug(self) -> str:
        """The name as it may stand in a file's name."""
        return slug(self.name) or f"label_{self.label}"
