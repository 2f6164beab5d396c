"""Nothing is sent: training, export and segmentation open no connection and look up no name."""

import subprocess
import sys
from pathlib import Path

import pytest

from tiny_federation import write_federation

WATCHED = """
import sys

NETWORK = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
           "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo", "urllib.Request")

def refuse(event, arguments):
    # A library asks whether IPv6 exists by binding a socket to this machine's own address.
    is_own = event == "socket.bind" and arguments[1][0] in ("127.0.0.1", "::1")
    if event in NETWORK and not is_own:
        print(event, arguments, file=sys.stderr, flush=True)
        __import__("os")._exit(99)

sys.addaudithook(refuse)
"""
COMMAND = """
sys.argv = ["fedcross", *sys.argv[1:]]
from fedcross.cli import main
main()
"""


def watched(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that ends with 99 at the first use of the network."""
    return subprocess.run(
        [sys.executable, "-c", WATCHED + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_training_export_and_segmentation_use_no_network(tmp_path: Path) -> None:
    config = write_federation(tmp_path)
    image = next((tmp_path / "s0" / "images").iterdir())
    run, bundle, out = (tmp_path / name for name in ("run", "bundle", "out"))
    for arguments in (
        ("train", config, "--out", run, "--device", "cpu"),
        ("export", run, bundle),
        ("bundle", "pack", bundle, tmp_path / "bundle.zip"),
        ("segment", "--bundle", bundle, "--image", image, "--out", out, "--device", "cpu"),
        ("data", "check", config, "--out", tmp_path / "report"),
    ):
        done = watched(COMMAND, *arguments)
        assert done.returncode == 0, f"{arguments[0]}: {done.stderr}"


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import urllib.request; urllib.request.urlopen('http://localhost:9')",
    ],
)
def test_the_watch_notices_a_connection(code: str) -> None:
    assert watched(code).returncode == 99
