"""A tiny federation whose cases have two co-registered images, T2 and ADC.

Only the second image shows the structure, and its voxels are larger than those of the first.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tiny_federation import SPACING_MM, write_array, write_federation

SECOND_SPACING_MM = (2.5, 2.5, 2.5)


def write_two_channel_federation(folder: Path, **options: object) -> Path:
    """Write the federation of `write_federation` with a second image; return the configuration's path.

    The second images are in the folder ``adc`` of every site, with the names of the first.
    """
    config = write_federation(folder, **options)  # type: ignore[arg-type]
    for seed, image in enumerate(sorted(folder.glob("s*/images/*.nii.gz"))):
        first = sitk.ReadImage(str(image))
        size = [
            round(count * old / new)
            for count, old, new in zip(first.GetSize(), SPACING_MM, SECOND_SPACING_MM, strict=True)
        ]
        second = sitk.Resample(
            first,
            size,
            sitk.Transform(),
            sitk.sitkLinear,
            first.GetOrigin(),
            SECOND_SPACING_MM,
            first.GetDirection(),
        )
        (image.parents[1] / "adc").mkdir(exist_ok=True)
        sitk.WriteImage(second, str(image.parents[1] / "adc" / image.name))
        rng = np.random.default_rng(seed)
        write_array(image, rng.normal(100, 8, first.GetSize()[::-1]).astype(np.int16))
    text = config.read_text(encoding="utf-8")
    text = text.replace("[[structures]]", 'channels = ["T2", "ADC"]\n[[structures]]')
    for site in sorted(folder.glob("s*/images")):
        name = site.parent.name
        text = text.replace(f'"{name}/images"', f'["{name}/images", "{name}/adc"]')
    config.write_text(text, encoding="utf-8")
    return config
