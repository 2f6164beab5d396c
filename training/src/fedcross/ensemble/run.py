"""All members of a bundle over one volume: mean, spread, and each member's label map.

The members run one after another, and only one is in memory. Its patches are blended slab by slab; each
slab updates streaming statistics and is interpolated to the input's own grid, where the member's label
map goes to disk. So memory does not grow with the number K of members. With C classes, n voxels on the
networks' grid, N on the input's, c input channels, and s voxels in as many slices as a patch is deep, a
run takes, beside one member and its patch,

    4 c n + N + g + 4 (C + 1) s  bytes:

normalised intensities, a label map, statistics g, and sums of patches; and some arrays of C times
`fedcross.volumes.slab.SLAB_VOXELS` numbers. For all measures g is (5 C + 8) n; it is on disk instead
where it exceeds `fedcross.ensemble.slab_statistics.MAX_BYTES_IN_MEMORY`. While the volume is prepared,
memory holds the files' voxels twice and the intensities twice; after the run, without the intensities,
about 20 N at most (for the distances, see `fedcross.volumes.distance`).
"""

from collections.abc import Callable, Collection
from typing import IO

from fedcross.contract.measures import Measure
from fedcross.ensemble.localiser.first_pass import (
    StructureMissedError,
    find_surroundings,
    plan_first_pass,
)
from fedcross.ensemble.localiser.selection import select_patches
from fedcross.ensemble.members import EnsembleOutcome, MembersRun, Observer
from fedcross.model.manifest import Manifest
from fedcross.patches.placement import select_touching
from fedcross.patches.predictor import PatchPredictor
from fedcross.runtime.reporting import Reporter
from fedcross.volumes.prepare import Prepared
from fedcross.volumes.region import Region


def run_ensemble(
    manifest: Manifest,
    load_member: Callable[[int], PatchPredictor],
    prepared: Prepared,
    open_spool: Callable[[], IO[bytes]],
    *,
    measures: Collection[Measure],
    region: Region | None = None,
    localise: bool = False,
    reporter: Reporter,
    observe: Observer | None = None,
) -> EnsembleOutcome:
    """Run all members, one after another.

    Parameters
    ----------
    manifest
        Manifest of the bundle.
    load_member
        Loads member k. The previous member is released first, so that only one is in memory.
    prepared
        The prepared volume.
    open_spool
        Opens an empty temporary file for reading and writing. The label maps need one, with a byte for
        each voxel and member; statistics beyond
        `fedcross.ensemble.slab_statistics.MAX_BYTES_IN_MEMORY` need another.
    measures
        Measures that the outcome can return.
    region
        Box to segment; None is the whole volume. Patches that do not touch it are not computed, and
        outside it the members' label maps are background.
    localise
        Whether to compute only the patches near the structures that the first member finds, see
        `fedcross.ensemble.localiser.first_pass`. Without effect with a region.
    reporter
        Receives the progress, patch by patch.
    observe
        Receives every member's probabilities, slab by slab; slabs may come again if a first attempt to
        compute less than the whole volume fails.

    Raises
    ------
    OSError
        If a temporary file cannot be written: the disk is full.
    """
    run = MembersRun(manifest, load_member, prepared, open_spool, measures, reporter, observe)
    if region is not None:
        # One voxel more on each side: interpolation to the input's own grid reads neighbours.
        needed = select_touching(run.grid, run.patch, region.bounds(prepared.grid, margin=1))
        return run.run(needed, inside=region.mask(prepared.source))
    return _localised(run, load_member, prepared, reporter) if localise else run.run(run.grid)


def _localised(
    run: MembersRun,
    load_member: Callable[[int], PatchPredictor],
    prepared: Prepared,
    reporter: Reporter,
) -> EnsembleOutcome:
    """Find the structures with the first member, and run all members near them.

    All members compute the whole volume if that saves nothing, or if a structure was missed.
    """
    members, classes = run.members, run.shape[0]
    full, spacing_mm = len(run.grid), prepared.grid.spacing_mm
    looks = plan_first_pass(run.shape[1:], run.patch, spacing_mm, full, members)
    reason = "The volume has too few patches for a first look."
    if looks:
        run.first = load_member(0)
        surroundings = find_surroundings(
            run.first,
            prepared.array,
            patch=run.patch,
            starts=looks,
            classes=classes,
            spacing_mm=spacing_mm,
            progress=run.progress(len(looks) + members * full),
        )
        reason = "The first model misses a structure."
        if surroundings is not None:
            kept = select_patches(run.grid, run.patch, surroundings)
            reason = "The structures reach too far to save anything."
            if len(looks) + members * len(kept) < members * full:
                try:
                    return run.run(kept, surroundings=surroundings)
                except StructureMissedError as error:
                    reason = str(error)
    # Not in the except clause: the exception's frames hold statistics and a member.
    reporter.log(f"{reason} All models compute the whole volume.")
    return run.run(run.grid)
