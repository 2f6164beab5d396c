"""Functions that `fedcross.infer.batch.function_worker` calls in its process."""

import os
import time
from pathlib import Path

from fedcross.errors import DataError


def process_of(case: object, models: object) -> tuple[object, int, int]:
    """Return the case, the process, and the identity of the models that the process keeps."""
    return case, os.getpid(), id(models)


def misbehave(case: str, models: object) -> str:
    """Return ``ok``, or fail as the case says."""
    if case == "refuse":
        raise DataError("The image is damaged.", "Copy it again.")
    if case == "die":
        os._exit(9)
    if case == "bug":
        raise KeyError("missing")
    return "ok"


def wait(case: Path, models: object) -> None:
    """Write the number of the process into a file, and wait for a long time."""
    case.with_suffix(".part").write_text(str(os.getpid()))
    case.with_suffix(".part").replace(case)
    time.sleep(300)
