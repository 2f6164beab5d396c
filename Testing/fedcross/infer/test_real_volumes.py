from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from fedcross.contract.request import SegmentRequest
from fedcross.infer.segment import segment
from fedcross.runtime.reporting import NullReporter
from fedcross.volumes.grid import Grid

DATA = Path(__file__).parents[4] / "shared" / "data"
VOLUMES = sorted(
    path.relative_to(DATA).as_posix()
    for folder in ("sct_spinal_cord", "sts_sarcoma_mr_ct")
    for path in (DATA / folder).rglob("*")
    if path.is_file() and "images" in path.parts
)


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real volumes is not there")
@pytest.mark.usefixtures("lopsided")
@pytest.mark.parametrize("name", VOLUMES)
def test_real_volumes_keep_their_geometry(make_bundle, tmp_path, name):
    """Oblique spinal cords, CT and MR of soft tissue, at a coarse spacing to be fast."""
    bundle = make_bundle(members=2, spacing_mm=(2.0, 2.0, 4.0), patch_size=(128, 128, 64))
    request = SegmentRequest(bundle.path, DATA / name, tmp_path / "out", device="cpu")
    segment(request, NullReporter())
    given = Grid.of(sitk.ReadImage(str(DATA / name)))
    for file in ("segmentation.seg.nrrd", "uncertainty.nrrd"):
        written = Grid.of(sitk.ReadImage(str(tmp_path / "out" / file)))
        assert written.size == given.size
        for field in ("spacing_mm", "origin_mm", "direction"):
            np.testing.assert_allclose(getattr(written, field), getattr(given, field), atol=1e-6)
