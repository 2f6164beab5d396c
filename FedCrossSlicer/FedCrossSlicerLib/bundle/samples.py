"""The sample volume and the sample bundle that the module ships; neither needs a network.

Both are synthetic; ``Resources/make_samples.py`` makes them.
"""

import hashlib
from pathlib import Path
from typing import Any

RESOURCES = Path(__file__).resolve().parents[2] / "Resources"
CATEGORY, NAME = "FedCross", "FedCrossPhantom"
VOLUME = RESOURCES / "SampleData" / "FedCrossPhantom.nrrd"
BUNDLE = RESOURCES / "SampleData" / "FedCrossPhantomBundle.zip"
THUMBNAIL = RESOURCES / "Icons" / "FedCrossPhantom.png"


def registerSamples(logic: Any = None) -> None:
    """List the sample volume in Slicer's Sample Data module.

    Parameters
    ----------
    logic
        ``SampleData.SampleDataLogic``; None imports it. Tests replace it.
    """
    if logic is None:
        import SampleData

        logic = SampleData.SampleDataLogic
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        uris=[VOLUME.as_uri()],
        fileNames=[VOLUME.name],
        nodeNames=[NAME],
        checksums=[f"SHA256:{hashlib.sha256(VOLUME.read_bytes()).hexdigest()}"],
        thumbnailFileName=str(THUMBNAIL),
        loadFileTypes=["VolumeFile"],
    )
