"""The values of DICOM elements, checked.

A header may be damaged or hostile. Whatever cannot be read raises `Unreadable`, which the callers turn
into a `DataError` with the name of the file.
"""

import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from warnings import catch_warnings, simplefilter

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

from fedcross.contract.plain_text import plain_text

MAX_NAME = 100
"""Characters of the name of a file that are shown."""
MAX_VALUE = 1024
"""Characters of a text that are compared."""
MAX_NUMBER = 1e9

ERRORS = (
    AttributeError,
    AssertionError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom and the standard library raise for damaged files, beside OSError."""


class Unreadable(Exception):  # noqa: N818 - it is always turned into a DataError
    """A DICOM file or one of its values cannot be read; the message says why and may be empty."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn every error of pydicom inside the context into `Unreadable`; hide its warnings."""
    with catch_warnings():
        simplefilter("ignore")
        try:
            yield
        except OSError as error:
            raise Unreadable(error.strerror or "") from error
        except ERRORS as error:
            raise Unreadable(what) from error


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Return an element's `count` finite numbers; None if it is missing or empty.

    Raises
    ------
    Unreadable
        If it holds something else.
    """
    wrong = f"its {keyword} cannot be read"
    with reading(wrong):
        value = dataset.get(keyword)
        if value is None or value == "" or (isinstance(value, MultiValue | list) and not value):
            return None
        listed = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
        found = tuple(float(each) for each in listed)
    if len(found) != count or not all(math.isfinite(n) and abs(n) <= MAX_NUMBER for n in found):
        raise Unreadable(wrong)
    return found


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return an element's single finite number; None if it is missing or empty."""
    found = numbers(dataset, keyword, 1)
    return found[0] if found else None


def whole(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return an element's whole number.

    Raises
    ------
    Unreadable
        If it holds something else, or is missing and has no default.
    """
    found = number(dataset, keyword)
    if found is None and default is not None:
        return default
    if found is None or found != int(found):
        raise Unreadable(f"its {keyword} is {'missing' if found is None else 'no whole number'}")
    return int(found)


def text(dataset: Dataset, keyword: str) -> str:
    r"""Return an element's text, several values joined by ``\``; empty if it is missing."""
    with reading(f"its {keyword} cannot be read"):
        value = dataset.get(keyword)
        if value is None:
            return ""
        listed = value if isinstance(value, MultiValue | list | tuple) else [value]
        return plain_text("\\".join(str(each) for each in listed).strip(), MAX_VALUE)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; an empty list if it is missing."""
    with reading(f"its {keyword} cannot be read"):
        value = dataset.get(keyword)
    if value is None:
        return []
    if not isinstance(value, Sequence):
        raise Unreadable(f"its {keyword} is no sequence")
    return list(value)


def name_of_uid(uid: str) -> str:
    """Return the name of a UID of the standard; empty for another UID."""
    with reading("one of its UIDs cannot be read"):
        name = UID(uid).name
    return "" if name == uid else name


def describe_damage(damaged: Mapping[Path, str]) -> str:
    """Say how many files are unreadable, which is the first, and why if that is known."""
    first = min(damaged)
    why = f" ({damaged[first]})" if damaged[first] else ""
    return (
        f"unreadable files ({len(damaged)}); the first is {plain_text(first.name, MAX_NAME)}{why}."
    )
