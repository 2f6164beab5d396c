import urllib.request
from types import SimpleNamespace

import pytest


@pytest.fixture
def registered(loaded):
    from FedCrossSlicerLib.bundle.samples import registerSamples

    told = []
    registerSamples(
        SimpleNamespace(registerCustomSampleDataSource=lambda **source: told.append(source))
    )
    return told[0]


def test_the_sample_volume_is_there_without_network_and_what_its_checksum_says(
    registered, tmp_path
):
    import hashlib

    target = tmp_path / registered["fileNames"][0]
    urllib.request.urlretrieve(registered["uris"][0], target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    assert registered["checksums"] == [f"SHA256:{digest}"]
    assert len(registered["uris"]) == len(registered["nodeNames"]) == 1


def test_its_thumbnail_is_there(registered):
    with open(registered["thumbnailFileName"], "rb") as file:
        assert file.read(4) == b"\x89PNG"


def test_the_sample_bundle_is_sound_and_segments_the_sample_volume(loaded, tmp_path):
    from fedcross.infer.segment import SegmentRequest, segment
    from fedcross.model.bundle import verify_bundle
    from fedcross.runtime.reporting import NullReporter
    from FedCrossSlicerLib.bundle.samples import BUNDLE, VOLUME

    assert len(verify_bundle(BUNDLE).members) == 4
    summary = segment(SegmentRequest(BUNDLE, VOLUME, tmp_path / "out"), NullReporter())
    (organ,) = summary.structures
    assert 5 < organ.volume_ml < 60
    assert organ.mean_pairwise_dice > 0.6
    assert summary.hot_spots


def test_the_samples_fit_one_another_and_stay_small(scene):
    import slicer

    from FedCrossSlicerLib.bundle.fit import warnings
    from FedCrossSlicerLib.bundle.info import readBundleInfo
    from FedCrossSlicerLib.bundle.samples import BUNDLE, VOLUME

    assert BUNDLE.stat().st_size + VOLUME.stat().st_size < 4_000_000
    assert warnings(slicer.util.loadVolume(str(VOLUME)), readBundleInfo(BUNDLE)) == []


def test_the_module_registers_them_when_slicer_has_started(loaded):
    import slicer

    from FedCrossSlicerLib.bundle.samples import registerSamples

    assert ("startupCompleted()", registerSamples) in slicer.app.connected
