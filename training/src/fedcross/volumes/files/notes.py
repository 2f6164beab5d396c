"""Notes on a volume: what was changed while it was read, carried by the image itself."""

import SimpleITK as sitk

_KEY = "fedcross_note_"


def add_note(image: sitk.Image, note: str) -> None:
    """Add one sentence about the image to it; copies of its voxels alone do not carry it."""
    image.SetMetaData(f"{_KEY}{len(notes_of(image)):02d}", note)


def notes_of(image: sitk.Image) -> list[str]:
    """Return the sentences about an image, in the order in which they were added."""
    keys = sorted(key for key in image.GetMetaDataKeys() if key.startswith(_KEY))
    return [image.GetMetaData(key) for key in keys]
