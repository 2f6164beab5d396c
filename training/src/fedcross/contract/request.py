"""A request to segment one volume, and the command line that carries it to the child process."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args

from fedcross.contract.measures import DEFAULT_MEASURE, MEASURES, Measure
from fedcross.contract.plain_text import plain_text
from fedcross.errors import ConfigError

if TYPE_CHECKING:
    import argparse

Precision = Literal["fp32", "bf16", "fp16"]
PRECISION_CHOICES: tuple[str, ...] = ("auto", *get_args(Precision))
BACKENDS = ("auto", "openvino", "tuned", "torch")

MAX_CHANNELS = 8
"""Largest number of images of a case."""

MAX_HOURS = 12.0
"""Hours that the networks of a request may take unless the user allows more."""

ONLY_SERIES = "auto"
"""Stands for the only volume of an image."""

MODULE = "fedcross.infer"
"""The child process is ``python -m`` this."""
EVENTS_FLAG = "--events"
"""Writes events (`fedcross.contract.events`) to stdout instead of plain lines to stderr."""
WORKER_FLAG = "--worker"
"""Keeps the process: it reads requests, JSON arrays of words, one a line, from stdin."""

HELP: Mapping[str, str] = {
    "bundle": "Bundle: a folder or a .zip.",
    "image": "NIfTI, NRRD, MetaImage, or DICOM (folder or file). Repeat it for a bundle with several "
    "channels, in the order of the channels.",
    "series": "Which volume of a DICOM folder that holds several: its number in the list that the error "
    "message gives, or its Series Instance UID. With several images once for each; auto for an image "
    "with one volume.",
    "out": "Folder for the results; those of an earlier run are replaced.",
    "measure": "Measure that the uncertainty map shows.",
    "device": "auto, cpu, or a GPU such as cuda:0.",
    "precision": f"Number format of the networks: {', '.join(PRECISION_CHOICES)}.",
    "backend": f"Back-end of the networks: {', '.join(BACKENDS)}.",
    "roi": "JSON file of a box (LPS, mm); voxels outside it become background.",
    "localise": "Compute only the patches near the structures that the first member finds.",
    "save_probabilities": "Also write each structure's probability.",
    "save_members": "Also write each member's own segmentation.",
    "for_viewer": "Also write the maps of all measures, the members' outlines and the distances.",
    "for_dicom": "Also write label map and mean probabilities in 8 bits, of which DICOM results can be "
    "made later.",
    "dicom": "Also write segmentation, probability and uncertainty as DICOM. The image must be DICOM; "
    "the files carry the patient's identity as the image does.",
    "dicom_labelmap": "Like --dicom, with the segmentation as a Label Map, which only new readers know.",
    "max_memory_gb": "Most memory in GB that a request may need; by default what the machine has left.",
    "max_hours": "Longest time in hours that the networks may take, estimated from the first patches.",
    "events": "One JSON object a line on stdout, for programs.",
}
"""A description for each option of the command line."""


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """How to segment and what to write; `HELP` describes each field.

    Raises
    ------
    ConfigError
        If a limit is negative or NaN.
    """

    measure: Measure = DEFAULT_MEASURE
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    roi: Path | None = None
    localise: bool = False
    save_probabilities: bool = False
    save_members: bool = False
    for_viewer: bool = False
    for_dicom: bool = False
    dicom: bool = False
    dicom_labelmap: bool = False
    max_memory_gb: float | None = None
    max_hours: float = MAX_HOURS

    def __post_init__(self) -> None:
        for name in ("max_memory_gb", "max_hours"):
            limit = getattr(self, name)
            if limit is not None and not limit >= 0:  # also refuses NaN
                raise ConfigError(f"{flag(name)} must be at least 0, got {limit}.")

    @property
    def writes_dicom(self) -> bool:
        """Whether results are also written as DICOM."""
        return self.dicom or self.dicom_labelmap

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All measures whose maps are written, the chosen one first."""
        others = [name for name in MEASURES if name != self.measure] if self.for_viewer else []
        return (self.measure, *others)


@dataclass(frozen=True)
class SegmentRequest(RequestOptions):
    """One case to segment, and how. `HELP` describes the fields.

    Attributes
    ----------
    bundle, image, out : Path
        Bundle, image (of the first channel), result folder.
    further : tuple of Path
        Images of the further channels, in the order of the bundle's channels.
    series : tuple of str
        For each image which volume of a DICOM folder it is, or `ONLY_SERIES`; empty if every image holds
        one.

    Raises
    ------
    ConfigError
        If the number of series is not that of the images, a limit is negative or no number, or a path
        holds a character that no path has: a null character, or half of a surrogate pair.
    """

    bundle: Path
    image: Path
    out: Path
    further: tuple[Path, ...] = field(default=(), kw_only=True)
    series: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_series(self.series, len(self.images))
        for path in (self.bundle, self.out, *self.images, *([self.roi] if self.roi else [])):
            if not _can_be_path(str(path)):
                shown = plain_text(str(path), 80)
                raise ConfigError(
                    f"{shown} cannot be a path: it holds a character that no path has."
                )

    @property
    def images(self) -> tuple[Path, ...]:
        """The images of all channels."""
        return (self.image, *self.further)

    def words(self) -> list[str]:
        """Return the words of the command line that makes this request: values, then switches."""
        values, switches = [], []
        for each in _FIELDS:
            value = getattr(self, each.name)
            if each.type is bool:
                switches += [flag(each.name)] if value else []
            elif each.name == _IMAGE:
                values += [word for image in self.images for word in (flag(_IMAGE), str(image))]
            elif each.name == _SERIES:
                values += [word for series in self.series for word in (flag(_SERIES), series)]
            elif value is not None:
                values += [flag(each.name), str(value)]
        return values + switches


_IMAGE, _SERIES = "image", "series"
_TYPES: Mapping[Any, Callable[[str], Any]] = {
    Path: Path,
    Path | None: Path,
    float: float,
    float | None: float,
}
_FIELDS = sorted(
    (each for each in fields(SegmentRequest) if each.name != "further"),
    key=lambda each: each.default is not MISSING,
)
"""One for each option, those without a default first. ``--image`` is repeated for every channel."""


def _can_be_path(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def flag(name: str) -> str:
    """Return the command-line option of a field of `SegmentRequest`, such as ``--save-members``."""
    return f"--{name.replace('_', '-')}"


def check_series(series: Sequence[object], images: int) -> None:
    """Check that there is no series, or one for each image.

    Raises
    ------
    ConfigError
        If there is another number.
    """
    if series and len(series) != images:
        raise ConfigError(
            f"Got {len(series)} series for {images} image{'s' if images > 1 else ''}.",
            f"Give {flag(_SERIES)} once for each image; {ONLY_SERIES} stands for an image with one "
            "volume.",
        )


def parse_request(words: Sequence[str]) -> SegmentRequest:
    """Return the request that the words of a command line make; ``--events`` may be among them.

    Raises
    ------
    ConfigError
        If a word is unknown, a value is not one of the choices, or something required is missing.
    """
    options = vars(request_parser().parse_args(words))
    del options["events"]
    image, *further = options.pop(_IMAGE)
    series = tuple(options.pop(_SERIES) or ())
    return SegmentRequest(image=image, further=tuple(further), series=series, **options)


def request_parser() -> "argparse.ArgumentParser":
    """Return the parser of the child's command line; it raises `ConfigError` instead of exiting."""
    import argparse  # here, because the Slicer module parses no request

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            shown = plain_text(message, 300)
            raise ConfigError(f"The command line is wrong: {shown}.", "See --help.")

    parser = Parser(
        prog=f"python -m {MODULE}",
        description="Segment a volume.",
        epilog=f"With {WORKER_FLAG} alone, it reads such requests from stdin, one a line.",
    )
    for each in _FIELDS:
        settings: dict[str, Any] = {"help": HELP[each.name]}
        if each.type is bool:
            settings["action"] = "store_true"
        else:
            settings["type"] = _TYPES.get(each.type, str)
            settings["choices"] = MEASURES if each.type == Measure else None
            settings["required"] = each.default is MISSING
            repeats = each.name in (_IMAGE, _SERIES)
            settings["default"] = None if repeats or each.default is MISSING else each.default
            settings["action"] = "append" if repeats else "store"
        parser.add_argument(flag(each.name), **settings)
    parser.add_argument(EVENTS_FLAG, action="store_true", help=HELP["events"])
    return parser
