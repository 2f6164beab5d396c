"""How a program ends: the exit codes, and what a person reads after an error."""

import errno

from fedcross.contract.events import ErrorEvent
from fedcross.contract.plain_text import plain_text
from fedcross.errors import FedCrossError

DONE, UNEXPECTED, BAD_INPUT, INCOMPLETE, INTERRUPTED, NO_READER = 0, 1, 2, 3, 130, 141
"""`BAD_INPUT` is what a person can put right; `INCOMPLETE` is a finished training in which a site took
no part; `INTERRUPTED` also when nobody reads the events. `NO_READER` is `DONE`, but the reader of the
output went away before the end: 128 and the number of SIGPIPE, as a shell reports it."""

DEBUG_VARIABLE = "FEDCROSS_DEBUG"
"""Environment variable that shows the details of an unexpected error."""

_OF_THE_MACHINE = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS),
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
        *(errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ELOOP),
        *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    }
)
"""Errors of paths, permissions, disks and limits, whichever part of the program meets them."""

_LONGEST = 200
"""Characters of an unexpected error's message."""
_CHECK = "Check the paths, their permissions and the free space, also where the output goes."
MEMORY_HINT = "Use smaller patches or batches, fewer cases at the same time, or another machine."
_LONGEST_SENTENCE = 2000
"""Characters of the message of a `FedCrossError`, and of its hint."""


def explain(error: BaseException, *, hint: str = "Please report it.") -> tuple[int, ErrorEvent]:
    """Return the exit code and the event for what a program raised.

    Parameters
    ----------
    error
        A `FedCrossError` keeps its own sentence and hint, without hidden characters. Of any other error
        the first line remains, and of a system error not the path, which may hold a patient's name. A
        system error about a path, permissions, a disk or a limit is one that a person can put right.
    hint
        What to do about an unexpected error.
    """
    kind = type(error).__name__
    if isinstance(error, FedCrossError):
        message, hint = (
            plain_text(text, _LONGEST_SENTENCE) for text in (error.message, error.hint)
        )
        return BAD_INPUT, ErrorEvent(kind, message, hint)
    if isinstance(error, KeyboardInterrupt | BrokenPipeError):
        return INTERRUPTED, ErrorEvent("Interrupted", "Interrupted.", "")
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        message = f"A file or folder cannot be used: {error.strerror}."
        return BAD_INPUT, ErrorEvent(kind, message, _CHECK)
    if _is_lack_of_memory(error):
        place = "GPU's" if "CUDA" in str(error) else "machine's"
        return BAD_INPUT, ErrorEvent(kind, f"The {place} memory does not suffice.", MEMORY_HINT)
    text = error.strerror if isinstance(error, OSError) else str(error)
    first = next(iter((text or "").splitlines()), "?")
    message = plain_text(f"Unexpected {kind}: {first}", _LONGEST).rstrip(".")
    return UNEXPECTED, ErrorEvent(kind, f"{message}.", hint)


def _is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error is about memory; PyTorch, which is not imported here, has several."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(
            words in text
            for words in ("out of memory", "not enough memory", "can't allocate memory")
        )
    )
