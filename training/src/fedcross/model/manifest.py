"""What a bundle says about itself: the "fedcross" section of ``configs/metadata.json``.

StrictModel on purpose: unknown keys, out-of-range numbers and unknown networks are refused. Nothing here
imports torch. Triples are (x, y, z).
"""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fedcross.model.architecture import Architecture
from fedcross.volumes.preprocessing import Preprocessing
from fedcross.volumes.structure import Name, StrictModel, Structure, slug

Text = Annotated[str, Field(max_length=4000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Member(StrictModel):
    """One trained model of the ensemble."""

    file: Annotated[str, Field(pattern=r"^models/member_[0-9]{1,3}\.safetensors$")]
    sha256: Sha256
    last_site: Name | None = None
    rounds: Annotated[int, Field(ge=0)] = 0


class Calibration(StrictModel):
    """A post-hoc temperature that divides the logits; 1 changes nothing."""

    temperature: Annotated[float, Field(ge=0.001, le=100, allow_inf_nan=False)] = 1.0


class Provenance(StrictModel):
    """Where a bundle comes from; no paths and no names of people."""

    created: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    source: Text = ""
    packages: dict[Annotated[str, Field(max_length=60)], Annotated[str, Field(max_length=60)]] = (
        Field(default_factory=dict)
    )
    configuration_sha256: Sha256 | None = None
    validation: dict[
        Annotated[str, Field(max_length=120)], Annotated[float, Field(allow_inf_nan=False)]
    ] = Field(default_factory=dict)


class Manifest(StrictModel):
    """Everything needed to run an ensemble, but the weights."""

    format_version: Literal[1] = 1
    name: Name
    description: Text = ""
    architecture: Architecture
    preprocessing: Preprocessing
    structures: Annotated[tuple[Structure, ...], Field(min_length=1, max_length=255)]
    members: Annotated[tuple[Member, ...], Field(min_length=1, max_length=64)]
    sites: Annotated[tuple[Name, ...], Field(max_length=1024)] = ()
    schedule: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...] | None = None
    calibration: Calibration = Calibration()
    provenance: Provenance

    @property
    def slug(self) -> str:
        """The name as it may stand in a file's name."""
        return slug(self.name) or "bundle"

    @field_validator("members")
    @classmethod
    def _files_differ(cls, members: tuple[Member, ...]) -> tuple[Member, ...]:
        if len({member.file for member in members}) != len(members):
            raise ValueError("two members name the same file")
        return members

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        labels = [structure.label for structure in self.structures]
        if labels != list(range(1, len(labels) + 1)):
            raise ValueError(f"structures must have labels 1, 2, 3 ... in order, got {labels}")
        slugs = {structure.slug for structure in self.structures}
        if len(slugs) != len(self.structures):
            raise ValueError("two structures have the same name")
        if self.architecture.classes != len(self.structures) + 1:
            raise ValueError(
                f"the network has {self.architecture.classes} classes, but background and "
                f"{len(self.structures)} structures need {len(self.structures) + 1}"
            )
        self._check_patch()
        self._check_schedule()
        return self

    def _check_patch(self) -> None:
        divisor, patch = self.architecture.divisor, self.preprocessing.patch_size
        if any(side % divisor for side in patch):
            raise ValueError(f"patch_size must be multiples of {divisor}, got {patch}")
        if self.architecture.norm == "instance" and self.architecture.lowest_voxels(patch) == 1:
            raise ValueError(
                f"patch_size {patch} leaves one voxel at the network's lowest level, where "
                "instance normalisation needs more"
            )

    def _check_schedule(self) -> None:
        for row in self.schedule or ():
            if len(row) != len(self.members) or max(row) >= len(self.sites):
                raise ValueError(
                    f"every row of schedule must have one of {len(self.sites)} sites for each of "
                    f"{len(self.members)} members, got {row}"
                )
