"""A server that answers the check of a connection with a kit, without FLARE."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedcross.federate.kits.startup_kit import Kit


@contextmanager
def run_server(server: Kit, *, trusted: Path | None = None, silent: bool = False) -> Iterator[int]:
    """Yield the port of a server that accepts one connection by mutual TLS and answers it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    context.load_verify_locations(trusted or server.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        connection.settimeout(5)
        if silent:
            connection.close()
            return
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(64)
                secure.sendall(bytes(9))
        except OSError:
            return  # the client closed the connection, or was refused

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(10)
        listener.close()
