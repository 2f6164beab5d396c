"""The source images as highdicom takes them, one for each slice, and the references back to the files.

A slice may be a file, or a frame of an enhanced file that holds other volumes, too. highdicom takes
either files of one slice, or whole files of frames. So it gets one single-frame image for each slice,
with a number in place of the UID; afterwards `complete` puts in the files and frames.
"""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, MRImageStorage
from pydicom.valuerep import DA, TM

from fedcross.volumes.files.dicom.frames import Frame
from fedcross.volumes.files.dicom.image_file import ImageFile
from fedcross.volumes.files.dicom.source import DicomSource

_NUMBERED = "2.25."
_MUST_EXIST = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""Elements of every DICOM image, which may be empty."""
_TYPES = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
_ROUNDING = 1e-4
"""Largest difference of a cosine from that of a unit vector that stays as it is in the header."""
_SEXES = ("M", "F", "O")


def source_images(source: DicomSource, count: int) -> list[Dataset]:
    """Return the first `count` slices as single-frame images without pixels.

    The first one has the whole header of the source: patient, study, equipment.
    """
    frames = source.frames[:count]
    images = [_image(number, frame, source) for number, frame in enumerate(frames, start=1)]
    images[0] = _identity(source.header)
    images[0].update(_image(1, frames[0], source))
    return images


def _image(number: int, frame: Frame, source: DicomSource) -> Dataset:
    first = source.frames[0]
    image = Dataset()
    image.SOPClassUID = MRImageStorage  # any of single frames; `complete` names the right one
    image.SOPInstanceUID = UID(f"{_NUMBERED}{number}")
    image.StudyInstanceUID = source.header.StudyInstanceUID
    image.SeriesInstanceUID = source.header.SeriesInstanceUID
    image.FrameOfReferenceUID = source.header.FrameOfReferenceUID
    image.Rows, image.Columns = first.file.rows, first.file.columns
    image.ImagePositionPatient = list(frame.position_mm or ())
    image.ImageOrientationPatient = _orientation(source)
    image.PixelSpacing = list(first.spacing_mm or ())
    between_mm = source.grid.spacing_mm[2]
    image.SliceThickness = first.thickness_mm or between_mm
    image.SpacingBetweenSlices = between_mm
    return image


def _orientation(source: DicomSource) -> list[float]:
    """The orientation as the header states it, or corrected to unit vectors at right angles."""
    stated = source.frames[0].orientation
    corrected = source.grid.axes[:, :2].T.ravel()
    if stated is not None and np.abs(np.subtract(stated, corrected)).max() <= _ROUNDING:
        return list(stated)
    return [round(float(cosine), 10) for cosine in corrected]


def _identity(header: Dataset) -> Dataset:
    """A header in which every element that must exist does; what is no date or sex becomes empty."""
    image = Dataset()
    image.update(header)
    for keyword in _MUST_EXIST:
        if image.get(keyword) is None:
            setattr(image, keyword, "")
    for keyword, kind in _TYPES.items():
        try:
            kind(image[keyword].value or "")
        except ValueError:
            setattr(image, keyword, "")
    if image.PatientSex not in _SEXES:
        image.PatientSex = ""
    return image


def slice_number(group: Dataset) -> int:
    """Return the number of the slice, from 1, that a frame's functional groups refer to.

    Only before `complete`.
    """
    return _number(group.DerivationImageSequence[0].SourceImageSequence[0])


def _number(reference: Dataset) -> int:
    return int(str(reference.ReferencedSOPInstanceUID).removeprefix(_NUMBERED))


def complete(made: Dataset, source: DicomSource) -> None:
    """Add to a DICOM object, in place, what highdicom leaves out or does not know.

    The references to numbered slices become those to the files and frames. The part of the body is that
    of the source.
    """
    if source.header.get("BodyPartExamined"):
        made.BodyPartExamined = source.header.BodyPartExamined
    used: dict[ImageFile, list[int]] = {}
    for frame in source.frames:
        used.setdefault(frame.file, []).append(frame.index + 1)
    made.SourceImageSequence = [_reference(file, frames) for file, frames in used.items()]
    for series in made.ReferencedSeriesSequence:
        series.ReferencedInstanceSequence = [_reference(file, ()) for file in used]
    for group in made.PerFrameFunctionalGroupsSequence:
        for derivation in group.DerivationImageSequence:
            derivation.SourceImageSequence = [
                _restore(reference, source) for reference in derivation.SourceImageSequence
            ]


def _restore(numbered: Dataset, source: DicomSource) -> Dataset:
    """A reference to the frame with a number; segments share the numbered one, so it stays."""
    frame = source.frames[_number(numbered) - 1]
    reference = Dataset()
    reference.update(numbered)
    reference.update(_reference(frame.file, (frame.index + 1,)))
    return reference


def _reference(file: ImageFile, frames: tuple[int, ...] | list[int]) -> Dataset:
    """A reference to a file, and to some of its frames if it has more than those."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = UID(file.sop_class)
    reference.ReferencedSOPInstanceUID = UID(file.sop_uid)
    if 0 < len(frames) < file.frames:
        reference.ReferencedFrameNumber = sorted(frames) if len(frames) > 1 else frames[0]
    return reference
