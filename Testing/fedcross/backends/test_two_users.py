"""Two users share one cache folder: neither stops the other, and neither runs the other's code."""

import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fedcross.backends.compiled_cache import read, write
from fedcross.training.data.cache import VolumeCache
from fedcross.training.data.volumes import Volume

NOBODY = 65534
MEMBER = "ab" * 32

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.getuid() != 0, reason="only root can become another user"
)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may write to, like the one for temporary files."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        (Path(folder) / "shared").mkdir()
        os.chmod(Path(folder) / "shared", 0o1777)
        yield Path(folder) / "shared"


def as_nobody(function: Callable[[], object]) -> str:
    """Call a function in a process of the user nobody; return what it returns, or its error, as text."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # a fork beside threads that are not used
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            text = str(function())
        except BaseException:  # noqa: BLE001 - the test must see every error
            text = traceback.format_exc()
        os.write(writer, text.encode()[:4000])
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


def test_a_process_of_another_user_has_other_rights(shared: Path) -> None:
    (shared / "mine").mkdir(mode=0o700)
    assert as_nobody(os.getuid) == str(NOBODY)
    assert "PermissionError" in as_nobody(lambda: list((shared / "mine").iterdir()))


def test_the_second_user_neither_reads_nor_needs_the_entry_of_the_first(shared: Path) -> None:
    entry = shared / "fedcross" / "openvino" / "bundle" / "member_0"
    write(entry, MEMBER, b"of root")
    assert as_nobody(lambda: read(entry, MEMBER)) == "None"
    assert as_nobody(lambda: write(entry, MEMBER, b"of nobody")) == "None"
    assert read(entry, MEMBER) == b"of root"


def test_code_of_another_user_is_not_run_and_not_removed(shared: Path) -> None:
    entry = shared / "fedcross" / "openvino" / "bundle" / "member_0"
    assert as_nobody(lambda: write(entry, MEMBER, b"of nobody")) == "None"
    assert as_nobody(lambda: read(entry, MEMBER)) == "b'of nobody'"
    assert read(entry, MEMBER) is None
    write(entry, MEMBER, b"of root")
    assert as_nobody(lambda: read(entry, MEMBER)) == "b'of nobody'"


def test_cases_of_another_users_cache_are_used_and_further_ones_stay_in_memory(
    shared: Path,
) -> None:
    def make() -> Volume:
        image = torch.from_numpy(np.ones((1, 2, 3, 4), np.float32))
        return Volume("case", image, torch.zeros((2, 3, 4), dtype=torch.uint8))

    def load(key: str) -> str:
        warnings: list[str] = []
        volume = VolumeCache(shared / "cases", warnings.append).volume("case", key, make)
        return f"{volume.image.sum().item():g} {''.join(warnings)}"

    assert load("a" * 64) == "24 "
    assert as_nobody(lambda: load("a" * 64)) == "24 "
    assert "24 The cache cases cannot be written: Permission denied." in as_nobody(
        lambda: load("b" * 64)
    )
    (shared / "cases").chmod(0o700)
    assert "24 The cache" in as_nobody(lambda: load("a" * 64))
