"""The manifest of a bundle: the "fedcross" section of ``configs/metadata.json``.

Unknown keys, numbers out of range and unknown networks are refused. This module does not import torch.
Triples are (x, y, z).
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from fedcross.model.architecture import Architecture
from fedcross.model.calibration import Calibration
from fedcross.model.profile import Profile
from fedcross.volumes.preprocessing import Preprocessing
from fedcross.volumes.structure import Name, StrictModel, Structure, slug

Text = Annotated[str, Field(max_length=4000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Member(StrictModel):
    """One trained model of the ensemble: its file, hash, last site and number of rounds."""

    file: Annotated[str, Field(pattern=r"^models/member_[0-9]{1,3}\.safetensors$")]
    sha256: Sha256
    last_site: Name | None = None
    rounds: Annotated[int, Field(ge=0)] = 0


class Provenance(StrictModel):
    """Origin of a bundle: date, source, package versions, validation; no paths or personal names."""

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
    """Everything needed to run an ensemble except the weights.

    Attributes
    ----------
    format_version : int
        Version of this schema.
    name, description : str
        Name and description for users.
    architecture : Architecture
        Network of all members.
    preprocessing : Preprocessing
        Channels, spacing, patch size and overlap.
    structures : tuple of Structure
        Segmented structures, with labels 1, 2, 3 ... in order.
    members : tuple of Member
        The K members.
    sites : tuple of str
        Names of the sites at which members were trained; empty if not recorded.
    schedule : tuple of tuple of int, optional
        One row for each round: the index in `sites` at which each member was trained. None for methods
        without a schedule, and if a site of the schedule took no part.
    calibration : Calibration
        Temperature, and what labelled cases say about the errors.
    provenance : Provenance
        Origin of the bundle.
    profile : Profile, optional
        Properties of the cases of the training sites; None if they were not recorded.
    """

    added_later: ClassVar[tuple[str, ...]] = ("profile",)

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
    profile: Profile | None = None

    @property
    def slug(self) -> str:
        """The name for files; see `fedcross.volumes.structure.slug`."""
        return slug(self.name) or "bundle"

    @field_validator("members")
    @classmethod
    def _check_files(cls, members: tuple[Member, ...]) -> tuple[Member, ...]:
        if len({member.file for member in members}) != len(members):
            raise ValueError("two members name the same file")
        return members

    @model_validator(mode="after")
    def _check_consistency(self) -> Self:
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
        if self.architecture.in_channels != self.preprocessing.channel_count:
            raise ValueError(
                f"the network has {self.architecture.in_channels} input channels, but preprocessing "
                f"names {self.preprocessing.channel_count}"
            )
        self._check_patch()
        self._check_schedule()
        self._check_calibration()
        return self

    def _check_patch(self) -> None:
        patch = self.preprocessing.patch_size
        if not self.architecture.divides(patch):
            raise ValueError(
                f"patch_size must be multiples of {self.architecture.divisors}, got {patch}"
            )
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

    def _check_calibration(self) -> None:
        names = {structure.name for structure in self.structures}
        for each in self.calibration.structures:
            if each.name not in names:
                raise ValueError(f"calibration names {each.name!r}, which is no structure")
