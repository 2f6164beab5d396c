"""Stands in for ``python -m fedcross.infer``: same arguments, but as good or as bad as its mood.

python fake_child.py MOOD --bundle B --image I --out D --measure M ... --events
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LATE_S = 60


MAPS = {
    "std": (0.4, 0.5),
    "entropy": (0.6, 0.693147),
    "mutual_information": (0.3, 0.693147),
    "variation_ratio": (0.5, 0.75),
}
"""Measure to its largest value in the map, and the largest that it can take with four members."""
NAME = "Prostate"


def write_result(image: Path, out: Path, measure: str, viewer: bool = True) -> None:
    """Segment what is brighter than 200 and be unsure along the first rows.

    Of the four members the first two say what the ensemble says, the third leaves out the first column
    of it, the fourth adds the column after the last.
    """
    import numpy as np
    import SimpleITK as sitk

    from fedcross.volumes.files.segmentation import write_segmentation
    from fedcross.volumes.structure import Code, Structure

    volume = sitk.ReadImage(str(image))
    voxels = sitk.GetArrayFromImage(volume)
    found = (voxels > 200).astype(np.uint8)
    out.mkdir(parents=True, exist_ok=True)
    prostate = Structure(
        name=NAME,
        label=1,
        color=(0.2, 0.8, 0.4),
        type=Code(value="41216001", meaning="Prostate"),
    )
    write_segmentation(_like(volume, found), [prostate], out / "segmentation.seg.nrrd")
    unsure = np.zeros(voxels.shape, np.float32)
    unsure[:, : voxels.shape[1] // 2] = 1
    files = {asked: f"uncertainty_{asked}.nrrd" for asked in (MAPS if viewer else [measure])}
    files[measure] = "uncertainty.nrrd"
    for asked, name in files.items():
        sitk.WriteImage(_like(volume, MAPS[asked][0] * unsure), str(out / name))
    if viewer:
        _write_extras(volume, found, prostate, out)
    summary = _summary(volume, found, measure, files, viewer)
    (out / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def _like(volume: Any, array: Any) -> Any:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.CopyInformation(volume)
    return image


def _write_extras(volume: Any, found: Any, structure: Any, out: Path) -> None:
    import numpy as np
    import SimpleITK as sitk

    from fedcross.infer.results.outlines import write_outlines
    from fedcross.volumes.distance import distance_map
    from fedcross.volumes.grid import Grid

    grid = Grid(volume.GetSize(), volume.GetSpacing(), volume.GetOrigin(), volume.GetDirection())
    smaller, larger = found.copy(), found.copy()
    columns = np.flatnonzero(found.any(axis=(0, 1)))
    if len(columns):
        smaller[..., columns[0]] = 0
        larger[..., columns[-1] + 1] = found[..., columns[-1]]
    write_outlines([found, found, smaller, larger], [structure], grid, out / "outlines.seg.nrrd")
    distances = _like(volume, distance_map(found, volume.GetSpacing()))
    sitk.WriteImage(distances, str(out / "distance.nrrd"))


def _summary(volume: Any, found: Any, measure: str, maps: dict[str, str], viewer: bool) -> Any:
    import numpy as np

    inside = np.argwhere(found)
    centre = inside.mean(axis=0)[::-1].tolist() if len(inside) else [0.0, 0.0, 0.0]  # x, y, z
    first = inside[0][::-1].tolist() if len(inside) else [0.0, 0.0, 0.0]
    largest, window = MAPS[measure]
    files = {"outlines": "outlines.seg.nrrd", "distance": "distance.nrrd"} if viewer else {}
    return {
        "created": "2026-01-31T12:00:00+00:00",
        "bundle": {"name": "Prostate T2", "sha256": "ab" * 32, "members": 4},
        "measure": measure,
        "uncertainty": {"max": largest, "window_max": window},
        "uncertainty_maps": {
            asked: {"file": name, "max": MAPS[asked][0], "window_max": MAPS[asked][1]}
            for asked, name in maps.items()
        },
        "structures": [
            {
                "name": NAME,
                "label": 1,
                "volume_ml": 31.2 if len(inside) else 0.0,
                "mean_ml": 31.1 if len(inside) else 0.0,
                "min_ml": 29.8 if len(inside) else 0.0,
                "max_ml": 33.0 if len(inside) else 0.0,
                "mean_pairwise_dice": 0.93,
            }
        ],
        "hot_spots": [
            {
                "rank": rank,
                "centroid_mm": volume.TransformContinuousIndexToPhysicalPoint(point),
                "volume_ml": 1.5 / rank,
                "peak": largest,
                "mean": 0.9 * largest,
                "structure": NAME if len(inside) else None,
            }
            for rank, point in enumerate((centre, [float(x) for x in first]), start=1)
        ],
        "files": files,
        "backend": "torch",
        "precision": "fp32",
        "device": "CPU, 1 thread",
        "packages": {"fedcross": "0.1.0", "torch": "2.13.0"},
    }


def tell(**event: object) -> None:
    print(json.dumps(event), flush=True)


def main() -> int:
    mood, *words = sys.argv[1:]
    given = dict(zip(words[:-1:2], words[1::2], strict=False))
    out = Path(given["--out"])
    tell(event="stage", stage="ensemble", message="Segmenting")
    tell(event="progress", done=3, total=12, stage="ensemble")
    if mood == "good" or (mood == "small-gpu" and given["--device"] == "cpu"):
        write_result(Path(given["--image"]), out, given["--measure"])
        tell(event="result", files={}, summary="summary.json")
    elif mood == "sorry":
        tell(event="error", type="BundleError", message="There is no bundle.", hint="Choose one.")
        return 2
    elif mood == "small-gpu" and given["--device"] != "cpu":
        tell(event="error", type="DeviceError", message="The GPU is too small.", hint="")
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
