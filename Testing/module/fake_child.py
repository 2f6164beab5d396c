"""Stands in for ``python -m fedcross.infer``: same arguments, but as good or as bad as its mood.

python fake_child.py MOOD --bundle B --image I --out D --measure M ... --events
"""

import json
import subprocess
import sys
import time
from pathlib import Path

LATE_S = 60


def write_result(image: Path, out: Path, measure: str) -> None:
    """Segment what is brighter than 200 and be unsure along the first rows."""
    import numpy as np
    import SimpleITK as sitk

    from fedcross.infer.segmentation_io import write_segmentation
    from fedcross.model.manifest import Code, Structure

    volume = sitk.ReadImage(str(image))
    voxels = sitk.GetArrayFromImage(volume)
    labels = sitk.GetImageFromArray((voxels > 200).astype(np.uint8))
    labels.CopyInformation(volume)
    heat_values = np.zeros(voxels.shape, np.float32)
    heat_values[:, : voxels.shape[1] // 2] = 0.4
    heat = sitk.GetImageFromArray(heat_values)
    heat.CopyInformation(volume)
    out.mkdir(parents=True, exist_ok=True)
    prostate = Structure(
        name="Prostate",
        label=1,
        color=(0.2, 0.8, 0.4),
        type=Code(value="41216001", meaning="Prostate"),
    )
    write_segmentation(labels, [prostate], out / "segmentation.seg.nrrd")
    sitk.WriteImage(heat, str(out / "uncertainty.nrrd"))
    found = np.argwhere(voxels > 200)
    centre = found.mean(axis=0)[::-1].tolist() if len(found) else [0.0, 0.0, 0.0]  # x, y, z
    summary = {
        "created": "2026-01-31T12:00:00+00:00",
        "bundle": {"name": "Prostate T2", "sha256": "ab" * 32, "members": 4},
        "measure": measure,
        "uncertainty": {"max": 0.4, "window_max": 0.5},
        "structures": [
            {"name": "Prostate", "volume_ml": 31.2, "min_ml": 29.8, "max_ml": 33.0, "label": 1}
        ],
        "hot_spots": [{"centroid_mm": volume.TransformContinuousIndexToPhysicalPoint(centre)}],
        "packages": {"fedcross": "0.1.0", "torch": "2.13.0"},
    }
    (out / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def tell(**event: object) -> None:
    print(json.dumps(event), flush=True)


def main() -> int:
    mood, *words = sys.argv[1:]
    given = dict(zip(words[:-1:2], words[1::2], strict=False))
    out = Path(given["--out"])
    tell(event="stage", stage="ensemble", message="Segmenting")
    tell(event="progress", done=3, total=12, stage="ensemble")
    if mood == "good":
        write_result(Path(given["--image"]), out, given["--measure"])
        tell(event="result", files={}, summary="summary.json")
    elif mood == "sorry":
        tell(event="error", type="BundleError", message="There is no bundle.", hint="Choose one.")
        return 2
    elif mood == "garbage":
        print("\x00\xff not JSON {", '{"event": 7}', "[]", '{"event": "progress", "done": "x"}')
        print('{"event": "progress", "done": "many", "total": null}')
    elif mood == "crash":
        raise ModuleNotFoundError("No module named 'torch'")
    elif mood == "half":
        write_result(Path(given["--image"]), out, given["--measure"])
        (out / "uncertainty.nrrd").write_bytes(b"NRRD0004\nnot really\n")
        tell(event="result", files={}, summary="summary.json")
    elif mood == "no-summary":
        tell(event="result", files={}, summary="summary.json")
    elif mood == "slow":
        grandchild = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LATE_S})"])
        tell(event="stage", stage="grandchild", message=str(grandchild.pid))
        time.sleep(LATE_S)
    elif mood == "abandons":
        grandchild = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LATE_S})"])
        tell(event="stage", stage="grandchild", message=str(grandchild.pid))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
