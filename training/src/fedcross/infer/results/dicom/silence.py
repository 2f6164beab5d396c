"""Hides the messages of the DICOM libraries, because they may quote a patient's name from a header."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from warnings import catch_warnings, simplefilter

from fedcross.volumes.files.dicom.elements import ERRORS, Unreadable

_LOGGERS = ("highdicom", "pydicom")


@contextmanager
def silence() -> Iterator[None]:
    """Drop warnings and log lines of the libraries inside the context.

    Raises
    ------
    Unreadable
        Instead of the libraries' errors, whose text may quote a header. A `MemoryError` stays.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with catch_warnings():
            simplefilter("ignore")
            yield
    except MemoryError:
        raise
    except ERRORS as error:
        raise Unreadable("its header is not as DICOM demands") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
