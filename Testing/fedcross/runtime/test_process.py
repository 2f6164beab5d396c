import os
import subprocess
import sys

from fedcross.runtime.process import is_running


def test_a_process_is_running_until_it_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert is_running(child.pid)
        assert is_running(os.getpid())
    assert not is_running(child.pid)
