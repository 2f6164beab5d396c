"""A hospital behind a proxy for HTTP, and a server behind a relay that passes TCP on, over TLS."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from federation_processes import federation_processes, free_port, wait_until
from tcp_relays import connect_proxy, tcp_forwarder
from tiny_federation import write_federation

pytestmark = pytest.mark.federation


def test_a_run_passes_the_hospitals_proxy_and_the_servers_relay(tmp_path: Path) -> None:
    config = write_federation(tmp_path / "data", sites=1, rounds=1, local_epochs=1)
    listen_port = free_port()
    with (
        tcp_forwarder(listen_port) as relay,
        connect_proxy() as proxy,
        federation_processes(
            tmp_path, {"s0": tmp_path / "data"}, (relay.port, listen_port)
        ) as processes,
    ):
        processes.start("server")
        processes.start("s0", https_proxy=f"http://127.0.0.1:{proxy.port}")
        wait_until(
            lambda: "New client s0@" in processes.last_output("server"),
            90,
            processes.last_output("server") + processes.last_output("s0"),
        )
        words = ("submit", config, "--out", tmp_path / "run", "--kit", processes.kit("admin").path)
        done = subprocess.run(
            [sys.executable, "-m", "fedcross", "federation", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr + done.stdout
        # The hospital and its job; the proxy and the relay see the server's name, and TLS.
        assert set(proxy.targets) == {("localhost", relay.port, "localhost")}
        assert len(proxy.targets) >= 2
        # They, and the coordinator, who uses no proxy.
        assert set(relay.targets) == {("127.0.0.1", listen_port, "localhost")}
        assert len(relay.targets) > len(proxy.targets)
