import subprocess
import sys
from pathlib import Path

import pytest

from fedcross.errors import CheckpointError, ConfigError
from fedcross.runtime.files.lock import folder_lock, is_locked


def test_a_lock_is_seen_while_it_is_held_and_not_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    assert not is_locked(path)
    assert not path.exists()
    with folder_lock(path):
        assert is_locked(path)
        assert path.read_text(encoding="ascii").strip().isdigit()
    assert not is_locked(path)


def test_the_lock_of_a_killed_process_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    program = (
        "import sys, time; from pathlib import Path\n"
        "from fedcross.runtime.files.lock import folder_lock\n"
        "with folder_lock(Path(sys.argv[1])):\n"
        "    print(flush=True)\n"
        "    time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with (
        pytest.raises(ConfigError, match=f"The box .* is in use by process {holder.pid}. End it."),
        folder_lock(path, kind="box", hint="End it.", error_class=ConfigError),
    ):
        pass
    holder.kill()
    holder.communicate()
    with folder_lock(path):
        pass


def test_a_folder_that_cannot_hold_a_lock_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(CheckpointError, match="cannot be written: No such file"),
        folder_lock(tmp_path / "missing" / "x.lock"),
    ):
        pass
