"""The check of the connection goes the way that gRPC goes, also through a proxy for HTTP CONNECT."""

import os
import select
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fedcross.federate.kits.connection import UntrustedError, check_connection
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.proxy import Proxy, connect_through, find_proxy
from fedcross.federate.kits.startup_kit import Kit, open_kit
from fedcross.federate.supervise.server_connection import UnreachableError
from federation_processes import free_port, wait_until
from tcp_relays import connect_proxy, tcp_forwarder
from tls_server import run_server

# Connects as FLARE does, and waits.
GRPC_CLIENT = """
import sys
import grpc
channel = grpc.insecure_channel(sys.argv[1])
grpc.channel_ready_future(channel).result(timeout=30)
"""


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation") / "kits"
    init_federation(folder, Federation("tiny", ("s0",), "localhost", 18002))
    return folder


@pytest.fixture
def kit(kits: Path) -> Kit:
    return open_kit(kits / "sites" / "s0")


def check(kit: Kit, port: int) -> str:
    return check_connection(replace(kit, port=port), 5)


@pytest.mark.parametrize("login", ["", "north:a word"])
def test_a_kit_connects_through_a_proxy_that_sees_only_the_address(
    kits: Path, kit: Kit, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    with run_server(open_kit(kits / "server")) as port, connect_proxy(login=login) as proxy:
        text = f"{login.replace(' ', '%20')}@" if login else ""
        monkeypatch.setenv("https_proxy", f"http://{text}127.0.0.1:{proxy.port}")
        sentence = check(kit, port)
    assert f"TCP port {port} through the proxy 127.0.0.1:{proxy.port} answers" in sentence
    assert "both certificates are accepted" in sentence
    assert "word" not in sentence
    assert proxy.targets == [("localhost", port, "localhost")]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("403 Forbidden", r"localhost:18002: HTTP/1\.1 403 Forbidden\. Ask for CONNECT to"),
        ("407 Proxy Authentication Required", r"407 .*\. It wants a login"),
        ("503 Service Unavailable", r"503 .*\. The server may not run"),
    ],
)
def test_a_proxy_that_refuses_is_named_with_its_answer(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, status: str, words: str
) -> None:
    with connect_proxy(status=status) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(UnreachableError, match=words):
            check_connection(kit, 5)


def test_a_proxy_that_is_not_there_or_is_none_is_one_sentence(kit: Kit) -> None:
    closed = Proxy("127.0.0.1", free_port())
    with pytest.raises(UnreachableError, match=f"The proxy {closed} cannot be reached"):
        connect_through(closed, "localhost", 1, 5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answer = threading.Thread(target=answer_garbage, args=(listener,))
        answer.start()
        other = Proxy("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(UnreachableError, match=r"refuses a connection to localhost:1: \?"):
            connect_through(other, "localhost", 1, 5)
        answer.join(5)


def answer_garbage(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"\x1b[2J" + b"x" * 40 + b"\r\n\r\n")


def test_a_proxy_that_inspects_encrypted_connections_is_found(
    kits: Path, kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_federation(tmp_path / "other", Federation("other", ("s0",), "localhost", 18002))
    with run_server(open_kit(tmp_path / "other" / "server")) as port, connect_proxy() as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(UntrustedError, match="a proxy or firewall inspects encrypted"):
            check(kit, port)


def test_a_relay_that_passes_the_bytes_on_sees_the_name_of_the_server(kits: Path, kit: Kit) -> None:
    with run_server(open_kit(kits / "server")) as port, tcp_forwarder(port) as relay:
        assert "both certificates are accepted" in check(kit, relay.port)
    assert relay.targets == [("127.0.0.1", port, "localhost")]


P = "http://127.0.0.1:{proxy}"


@pytest.mark.parametrize(
    ("variables", "uses_proxy"),
    [
        ({}, False),
        ({"https_proxy": P}, True),
        ({"http_proxy": P}, True),
        ({"grpc_proxy": P}, True),
        ({"HTTPS_PROXY": P}, False),
        ({"https_proxy": "", "http_proxy": P}, False),
        ({"grpc_proxy": "", "https_proxy": P}, False),
        ({"https_proxy": "https://127.0.0.1:{proxy}"}, False),
        ({"https_proxy": "127.0.0.1:{proxy}"}, False),
        ({"https_proxy": P, "no_proxy": "a.org, localhost"}, False),
        ({"https_proxy": P, "no_proxy": "LOCALHOST"}, False),
        ({"https_proxy": P, "no_proxy": ".localhost"}, False),
        ({"https_proxy": P, "no_proxy": "host"}, True),
        ({"https_proxy": P, "no_proxy": "local"}, True),
        ({"https_proxy": P, "no_proxy": "*"}, True),
        ({"https_proxy": P, "no_grpc_proxy": "a.org", "no_proxy": "localhost"}, True),
        ({"https_proxy": P, "no_proxy": ","}, True),
    ],
)
def test_the_proxy_is_the_one_that_grpc_uses(variables: dict[str, str], uses_proxy: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, connect_proxy() as proxy:
        target = f"localhost:{server.getsockname()[1]}"
        chosen = {name: text.format(proxy=proxy.port) for name, text in variables.items()}
        client = subprocess.Popen(
            [sys.executable, "-c", GRPC_CLIENT, target], env={**os.environ, **chosen}
        )
        wait_until(
            lambda: proxy.requests > 0 or bool(select.select([server], [], [], 0)[0]),
            30,
            "a connection",
        )
        client.kill()
        client.wait()
        assert bool(proxy.requests) == uses_proxy
        assert (find_proxy("localhost", chosen) == Proxy("127.0.0.1", proxy.port)) == uses_proxy


def test_grpc_logs_in_with_the_name_and_password_of_the_variable() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connect_proxy(login="north:a word") as proxy,
    ):
        port = server.getsockname()[1]
        variable = {"https_proxy": f"http://north:a%20word@127.0.0.1:{proxy.port}"}
        client = subprocess.Popen(
            [sys.executable, "-c", GRPC_CLIENT, f"localhost:{port}"], env={**os.environ, **variable}
        )
        wait_until(lambda: bool(proxy.targets), 30, "a connection through the proxy")
        client.kill()
        client.wait()
    assert proxy.targets == [("localhost", port, "")]


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example.org:3128/", Proxy("proxy.example.org", 3128)),
        ("http://proxy.example.org", Proxy("proxy.example.org", 443)),
        ("http://a:b%40c@proxy:80", Proxy("proxy", 80, "a:b@c")),
        ("http://proxy:http", None),
        ("http://", None),
        ("nonsense", None),
    ],
)
def test_an_address_of_a_proxy_is_read(text: str, proxy: Proxy | None) -> None:
    assert find_proxy("fl.example.org", {"https_proxy": text}) == proxy


def test_addresses_can_be_excepted_by_their_network() -> None:
    variables = {"https_proxy": "http://proxy:80", "no_proxy": "10.0.0.0/8"}
    assert find_proxy("10.1.2.3", variables) is None
    assert find_proxy("11.1.2.3", variables) == Proxy("proxy", 80)


def test_the_password_of_a_proxy_is_not_shown() -> None:
    assert "word" not in str(Proxy("proxy", 80, "north:word"))
