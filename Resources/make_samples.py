"""Make the sample volume and the sample bundle that the Slicer module ships.

    python Resources/make_samples.py

runs the demo with a narrower network, and calibrates its bundle with other synthetic patients. Under
``FedCrossSlicer/Resources/SampleData`` it keeps the patient of the hospital that took no part, and the
bundle as one zip, without the copy of the weights that only MONAI's runner reads. It takes a few minutes
and makes the same files every time on one machine.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import SimpleITK as sitk

from fedcross import calibrate, demo
from fedcross.model.bundle_zip import pack_bundle
from fedcross.runtime.reporting import PlainReporter
from fedcross.training.data.phantom.federation import write_phantom_federation
from fedcross.training.data.splits import PARTS

FOLDER = Path(__file__).resolve().parents[1] / "FedCrossSlicer" / "Resources" / "SampleData"
VOLUME, BUNDLE = "FedCrossPhantom.nrrd", "FedCrossPhantomBundle.zip"
NARROWER = ("base_channels = 8", "base_channels = 4")


def main() -> int:
    """Make them anew and print how good the bundle is; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        outcome = demo.run_demo(out, PlainReporter(sys.stderr), config=_configuration())
        more = write_phantom_federation(out / "more", sites=3, cases=14, shift=0.3, seed=77)
        calibrate(out / "bundle", more, out / "calibrated", parts=PARTS)
        shutil.copytree(out / "calibrated", out / "slim", ignore=shutil.ignore_patterns("model.pt"))
        FOLDER.mkdir(parents=True, exist_ok=True)
        pack_bundle(out / "slim", FOLDER / BUNDLE)
        image = sitk.ReadImage(str(out / "heldout" / "image.nii.gz"))
        sitk.WriteImage(image, str(FOLDER / VOLUME), useCompression=True)
        print(
            f"test Dice {outcome.test['mean']['ensemble']:.3f}, held out {outcome.held_out.dice:.3f}"
        )
    return 0


def _configuration() -> str:
    usual = demo.configuration()
    if NARROWER[0] not in usual:
        raise ValueError(f"the demo's configuration lacks {NARROWER[0]!r}")
    return usual.replace(*NARROWER)


if __name__ == "__main__":
    sys.exit(main())
