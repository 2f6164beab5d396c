"""Tiny data sets on disk in the layouts of the real data sets' downloads.

Every case is a bright ellipsoid in noise on an oblique, anisotropic grid. No two cases are equal.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

SIZE = (14, 12, 6)  # x, y, z
SPACING_MM = (0.5, 0.5, 3.0)
ANGLE_RAD = 0.1
ROOT_UID = "1.2.826.0.1.3680043.10.1"


def make_case(number: int, zones: int = 1) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Make the image and the label (z, y, x) of a case; its upper half has the label `zones`."""
    rng = np.random.default_rng(number)
    z, y, x = np.ogrid[: SIZE[2], : SIZE[1], : SIZE[0]]
    inside = ((x - 6) / 4) ** 2 + ((y - 5) / 3) ** 2 + ((z - 2.5) / 2) ** 2 < 1
    label = inside * np.where(z > 2, zones, 1)
    image = 100 + 10 * (number + 1) * inside + rng.normal(0, 5, inside.shape)
    return image.astype(np.int16), label.astype(np.uint8)


def to_image(array: NDArray[Any], number: int = 0) -> sitk.Image:
    """Make an image of an array (z, y, x) on the grid of case `number`."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING_MM)
    image.SetOrigin((-3.0 + number, 7.0, -20.0))
    c, s = np.cos(ANGLE_RAD), np.sin(ANGLE_RAD)
    image.SetDirection((1, 0, 0, 0, c, -s, 0, s, c))
    return image


def write(image: sitk.Image, path: Path) -> None:
    """Write an image; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def write_pair(image: Path, label: Path, number: int, zones: int = 1) -> None:
    """Write image and label of case `number`."""
    for path, array in zip((image, label), make_case(number, zones), strict=True):
        write(to_image(array, number), path)


def write_dicom(image: sitk.Image, folder: Path, number: int, description: str, uid: str) -> None:
    """Write an int16 volume as a DICOM series: files ``1-01.dcm``, ``1-02.dcm`` ..., one per slice."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    direction = np.array(image.GetDirection()).reshape(3, 3)
    tags = {
        "0008|0008": "ORIGINAL\\PRIMARY",
        "0008|0060": "MR",
        "0008|103e": description,
        "0020|000d": f"{ROOT_UID}.{uid}",
        "0020|000e": f"{ROOT_UID}.{uid}.{number}",
        "0020|0011": str(number),
        "0020|0037": "\\".join(f"{v:.8f}" for v in (*direction[:, 0], *direction[:, 1])),
    }
    for index in range(image.GetDepth()):
        piece = image[:, :, index]
        place = image.TransformIndexToPhysicalPoint((0, 0, index))
        here = {
            "0008|0018": f"{ROOT_UID}.{uid}.{number}.{index + 1}",
            "0020|0013": str(index + 1),
            "0020|0032": "\\".join(f"{v:.6f}" for v in place),
        }
        for tag, value in {**tags, **here}.items():
            piece.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"1-{index + 1:02d}.dcm"))
        writer.Execute(piece)


def write_msd(root: Path, cases: int = 3, channels: int = 2, zones: int = 2) -> Path:
    """Write Task05_Prostate: 4D images with T2 and a diffusion map, and the archive's hidden files."""
    names = [f"prostate_{number:02d}.nii.gz" for number in range(cases)]
    for number, name in enumerate(names):
        array, label = make_case(number, zones)
        volumes = [to_image(array, number), to_image(array[::-1] * 3, number)][:channels]
        write(sitk.JoinSeries(volumes) if channels > 1 else volumes[0], root / "imagesTr" / name)
        write(to_image(label, number), root / "labelsTr" / name)
        (root / "imagesTr" / f"._{name}").write_bytes(b"Mac OS X")
    write(to_image(make_case(9)[0]), root / "imagesTs" / "prostate_90.nii.gz")
    content = {
        "name": "PROSTATE",
        "tensorImageSize": "4D",
        "modality": {"0": "T2", "1": "ADC"} if channels > 1 else {"0": "MRI"},
        "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "numTraining": cases,
        "training": [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in names],
        "test": ["./imagesTs/prostate_90.nii.gz"],
    }
    (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def write_nnunet(root: Path, cases: int = 3, channels: int = 1, **extra: Any) -> Path:
    """Write an nnU-Net raw data set, version 2."""
    for number in range(cases):
        array, label = make_case(number)
        for channel in range(channels):
            name = f"case_{number:03d}_{channel:04d}.nrrd"
            write(to_image(array + 1000 * channel, number), root / "imagesTr" / name)
        write(to_image(label, number), root / "labelsTr" / f"case_{number:03d}.nrrd")
    content = {
        "channel_names": {str(channel): f"C{channel}" for channel in range(channels)},
        "labels": {"background": 0, "prostate": 1},
        "numTraining": cases,
        "file_ending": ".nrrd",
        **extra,
    }
    (root / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def write_promise12(root: Path, cases: int = 3) -> Path:
    """Write PROMISE12: training data in three parts, and test data without segmentations."""
    for number in range(cases):
        part = root / f"TrainingData_Part{number % 3 + 1}"
        name = f"Case{number:02d}"
        write_pair(part / f"{name}.mhd", part / f"{name}_segmentation.mhd", number)
    write(to_image(make_case(8)[0]), root / "TestData" / "Case00.mhd")
    return root


def write_nci_isbi_2013(root: Path) -> Path:
    """Write NCI-ISBI 2013: the NBIA retriever's folders and three archives of labels.

    There are two cases of each collection. Prostate3T labels have flipped and exchanged axes;
    ProstateDx labels have slices twice as thick, and one of them is a corrected label.
    """
    places = (
        ("Prostate-3T", "Prostate3T-01-0001", "Training", ""),
        ("Prostate-3T", "Prostate3T-02-0005", "Leaderboard", "_truth"),
        ("PROSTATE-DIAGNOSIS", "ProstateDx-01-0006", "Training", "_correctedLabels"),
        ("PROSTATE-DIAGNOSIS", "ProstateDx-03-0002", "Test", "_truth"),
    )
    for number, (collection, patient, part, suffix) in enumerate(places):
        array, label = make_case(number, zones=2)
        series = f"4.000000-t2tsetra-{number:05d}"
        folder = root / "manifest-123" / collection / patient / "03-15-2003-NA-MR" / series
        write_dicom(to_image(array, number), folder, 4, "t2_tse_tra", f"{number + 1}")
        drawn = to_image(label, number)
        if collection == "Prostate-3T":
            drawn = sitk.Flip(sitk.PermuteAxes(drawn, (1, 0, 2)), (False, True, False))
        else:
            drawn = drawn[:, :, ::2]
        write(drawn, root / part / f"{patient}{suffix}.nrrd")
    (root / "manifest-123" / "LICENSE").write_text("CC BY", encoding="utf-8")
    return root


def write_prostatex(root: Path, masks: str = "gland") -> Path:
    """Write PROSTATEx: DICOM of three patients with several series each, and masks of two of them.

    With ``gland`` the masks are NIfTI beside a list of the series; they are flipped, and one has an
    irregular name. With ``zones`` they are NRRD with the value 5.
    """
    for number in range(3):
        patient = root / "PROSTATEx" / f"ProstateX-{number:04d}" / "07-07-2011-NA-MR"
        array = make_case(number)[0]
        for series, text, change in (
            (3, "t2_tse_sag", 1),
            (4, "t2_tse_tra", 0),
            (7, "ep2d_diff_tra_ADC", 2),
            (10, "t2_tse_tra", 3),
        ):
            if series == 10 and number != 1:
                continue  # only patient 1 has two axial T2 series
            volume = to_image(array + np.int16(100 * change), number)
            folder = patient / f"{series}.000000-{text.replace('_', '')}-{number:05d}"
            write_dicom(volume, folder, series, text, f"{number + 1}.{series}")
    for number in (0, 1):
        label = to_image(make_case(number)[1], number)
        if masks == "zones":
            write(label * 5, root / "ProstateZones" / f"Seg-{number:04d}.nrrd")
            continue
        folder = root / "PROSTATEx_masks-master" / "Files" / "prostate"
        name = "ProstateX-0000.nii.gz" if number == 0 else "ProstateX-001.nii.gz"
        write(sitk.Flip(label, (False, True, False)), folder / "mask_prostate" / name)
        write(label, folder / "mask_pz" / f"ProstateX-{number:04d}_pz.nii.gz")
        (folder / "image_list.csv").write_text(
            "T2, geprüft\nProstateX-0000_t2_tse_tra_4\nProstateX-0001_t2_tse_tra_Grappa3_10\n",
            encoding="cp1252",  # as a spreadsheet on Windows saves it
        )
    return root


def write_preprocessed(root: Path, names: Mapping[str, int], images: str, labels: str) -> Path:
    """Write the layout of the FedCross authors' code: 3D NIfTI in two folders."""
    for name, number in names.items():
        write_pair(root / images / f"{name}.nii.gz", root / labels / f"{name}.nii.gz", number)
    return root
