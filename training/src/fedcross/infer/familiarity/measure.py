"""Measures all properties of a case: its images before the ensemble runs, its findings afterwards."""

from dataclasses import dataclass
from typing import Self

from fedcross.ensemble.members import EnsembleOutcome
from fedcross.infer.familiarity.findings import Thumbnail, measure_findings, take_thumbnail
from fedcross.infer.familiarity.image import Properties, measure_images
from fedcross.model.manifest import Manifest
from fedcross.volumes.grid import Grid
from fedcross.volumes.prepare import Prepared


@dataclass(frozen=True)
class ImagesMeasured:
    """The properties of the images of a case, and what their completion needs after the ensemble ran.

    Attributes
    ----------
    properties
        The properties of the images.
    thumbnail
        Some voxels, for the intensities of what is found; 1 MB for each channel.
    """

    properties: Properties
    thumbnail: Thumbnail

    @classmethod
    def of(cls, prepared: Prepared) -> Self:
        """Measure the images of a case, which are in ``prepared.array``."""
        return cls(measure_images(prepared), take_thumbnail(prepared))

    def complete(self, outcome: EnsembleOutcome, grid: Grid, manifest: Manifest) -> Properties:
        """Return all properties of the case.

        Parameters
        ----------
        outcome
            What the ensemble found.
        grid
            The networks' grid.
        manifest
            Manifest of the bundle.
        """
        labels = [structure.label for structure in manifest.structures]
        return self.properties | measure_findings(outcome, self.thumbnail, grid, labels)
