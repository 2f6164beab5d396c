"""Stands in for ``python -m fedcross.infer``: same arguments, and a given behaviour, good or faulty.

python fake_child.py BEHAVIOUR --bundle B --image I --out D --measure M ... --events
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fedcross.contract.events import (
    ErrorEvent,
    Event,
    ProgressEvent,
    ResultEvent,
    StageEvent,
    event_line,
)
from fedcross.contract.exits import BAD_INPUT, DONE, UNEXPECTED
from fedcross.contract.files import (
    CONTOURS,
    DESCRIPTION,
    DISTANCE,
    ENSEMBLE,
    OUTLINES,
    SEGMENTATION,
    SUMMARY,
    UNCERTAINTY,
    file_kind,
    inner_segment,
    outer_segment,
    uncertainty_file,
)
from fedcross.contract.measures import MEASURES
from fedcross.contract.request import parse_request
from fedcross.errors import BundleError, DeviceError

LATE_S = 60
MAPS = dict(zip(MEASURES, ((0.4, 0.5), (0.6, 0.693147), (0.3, 0.693147), (0.5, 0.75)), strict=True))
"""For each measure the largest value in the map, and the largest possible value with four members."""
NAME = "Prostate"


def write_result(
    image: Path, out: Path, measure: str, viewer: bool = True, calibrated: bool = False
) -> None:
    """Write a result: voxels brighter than 200 are the structure, and the first rows are uncertain.

    The first two of the four members agree with the ensemble, the third omits its first column, and the
    fourth adds a column after the last. With a calibrated bundle the result has an interval, a predicted
    Dice and contours, and the scan is unusual if the structure reaches into the fifth slice.
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
    write_segmentation(_like(volume, found), [prostate], out / SEGMENTATION)
    unsure = np.zeros(voxels.shape, np.float32)
    unsure[:, : voxels.shape[1] // 2] = 1
    files = {each: uncertainty_file(each) for each in (MAPS if viewer else [measure])}
    files[measure] = UNCERTAINTY
    for each, name in files.items():
        sitk.WriteImage(_like(volume, MAPS[each][0] * unsure), str(out / name))
    if viewer:
        _write_extras(volume, found, prostate, out)
    summary = _summary(volume, found, measure, files, viewer)
    if calibrated:
        write_contours(image, prostate, found, out)
        calibrate(summary, unusual=bool(found[4].any()))
    (out / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")


def write_for_dicom(image: Path, out: Path) -> None:
    """Add to a result what DICOM files are made of; the members are sure of every voxel."""
    import numpy as np
    import SimpleITK as sitk

    volume = sitk.ReadImage(str(image))
    found = (sitk.GetArrayFromImage(volume) > 200).astype(np.uint8)
    tall = sitk.GetImageFromArray(np.concatenate([found, 255 * found]))
    tall.SetSpacing(volume.GetSpacing())
    tall.SetOrigin(volume.GetOrigin())
    tall.SetDirection(volume.GetDirection())
    sitk.WriteImage(tall, str(out / ENSEMBLE))
    description = {
        "name": "Prostate T2",
        "sha256": "ab" * 32,
        "created": "2026-01-31",
        "version": "0.1.0",
        "members": 4,
        "structures": [
            {
                "name": "Pröstate",
                "label": 1,
                "type": {"value": "41216001", "meaning": "Prostate: <gland>; whole"},
            }
        ],
    }
    (out / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    summary = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    summary["files"] |= {file_kind(name): name for name in (ENSEMBLE, DESCRIPTION)}
    (out / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")


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
    write_outlines([found, found, smaller, larger], [structure], grid, out / OUTLINES)
    distances = _like(volume, distance_map(found, volume.GetSpacing()))
    sitk.WriteImage(distances, str(out / DISTANCE))


def write_contours(image: Path, structure: Any, found: Any, out: Path) -> None:
    """Write contours: one voxel and two voxels inside and outside of the structure."""
    import numpy as np
    import SimpleITK as sitk
    from scipy import ndimage

    from fedcross.volumes.files.segmentation import Segment, write_layers
    from fedcross.volumes.grid import Grid

    volume = sitk.ReadImage(str(image))
    grid = Grid(volume.GetSize(), volume.GetSpacing(), volume.GetOrigin(), volume.GetDirection())
    inner, outer = ndimage.binary_erosion, ndimage.binary_dilation
    masks, segments = [], []
    for voxels, alpha in ((2, 0.05), (1, 0.1)):
        for identify, change in ((inner_segment, inner), (outer_segment, outer)):
            identifier = identify(alpha, structure.slug)
            segments.append(Segment.of(structure, identifier, identifier, layer=len(masks)))
            masks.append(change(found > 0, iterations=voxels).astype(np.uint8))
    layers = np.stack(masks, axis=1) * np.uint8(structure.label)  # (z, layers, y, x)
    box = tuple(slice(0, side) for side in found.shape)
    write_layers(lambda: iter(layers), segments, grid, box, out / CONTOURS)


def calibrate(summary: Any, unusual: bool) -> None:
    """Add the fields of a calibrated bundle to a summary."""
    summary["files"][file_kind(CONTOURS)] = CONTOURS
    summary["calibration"] = {"cases": 40, "sites": 4}
    summary["familiarity"] = {
        "score": 9.5,
        "limit": 6.0,
        "false_alarm_rate": 0.05,
        "is_unusual": unusual,
        "reasons": ["voxel size 4.0 mm, in training 0.6 to 1.2 mm", "intensities"],
    }
    for structure in summary["structures"]:
        structure.update(
            interval_ml=[27.9, 34.6],
            interval_coverage=0.9,
            predicted_dice=0.86,
            predicted_dice_error=0.05,
            verdict="agree",
            verdict_basis="predicted_dice",
        )


def _summary(volume: Any, found: Any, measure: str, maps: dict[str, str], viewer: bool) -> Any:
    import numpy as np

    inside = np.argwhere(found)
    centre = inside.mean(axis=0)[::-1].tolist() if len(inside) else [0.0, 0.0, 0.0]  # x, y, z
    first = inside[0][::-1].tolist() if len(inside) else [0.0, 0.0, 0.0]
    largest, window = MAPS[measure]
    files = {file_kind(name): name for name in (OUTLINES, DISTANCE)} if viewer else {}
    return {
        "created": "2026-01-31T12:00:00+00:00",
        "bundle": {"name": "Prostate T2", "sha256": "ab" * 32, "members": 4},
        "measure": measure,
        "uncertainty": {"max": largest, "window_max": window},
        "uncertainty_maps": {
            each: {"file": name, "max": MAPS[each][0], "window_max": MAPS[each][1]}
            for each, name in maps.items()
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


def emit(event: Event) -> None:
    print(event_line(event), end="", flush=True)


def main() -> int:
    behaviour, *arguments = sys.argv[1:]
    request = parse_request(arguments)
    emit(StageEvent("ensemble", "Segmenting"))
    emit(ProgressEvent(3, 12, "ensemble"))
    good = behaviour in ("good", "calibrated")
    if good or (behaviour == "small-gpu" and request.device == "cpu"):
        calibrated = behaviour == "calibrated"
        write_result(request.image, request.out, request.measure, calibrated=calibrated)
        if request.for_dicom:
            write_for_dicom(request.image, request.out)
        emit(ResultEvent({}, SUMMARY))
    elif behaviour == "sorry":
        emit(ErrorEvent(BundleError.__name__, "There is no bundle.", "Choose one."))
        return BAD_INPUT
    elif behaviour == "small-gpu" and request.device != "cpu":
        emit(ErrorEvent(DeviceError.__name__, "The GPU is too small.", ""))
        return BAD_INPUT
    elif behaviour == "garbage":
        print("\x00\xff not JSON {", '{"event": 7}', "[]", '{"event": "progress", "done": "x"}')
        print('{"event": "progress", "done": "many", "total": null}')
    elif behaviour == "crash":
        raise ModuleNotFoundError("No module named 'torch'")
    elif behaviour == "half":
        write_result(request.image, request.out, request.measure)
        (request.out / UNCERTAINTY).write_bytes(b"NRRD0004\nnot really\n")
        emit(ResultEvent({}, SUMMARY))
    elif behaviour == "no-summary":
        emit(ResultEvent({}, SUMMARY))
    elif behaviour == "slow":
        grandchild = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LATE_S})"])
        emit(StageEvent("grandchild", str(grandchild.pid)))
        time.sleep(LATE_S)
    elif behaviour == "abandons":
        grandchild = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({LATE_S})"])
        emit(StageEvent("grandchild", str(grandchild.pid)))
        return UNEXPECTED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
