import io
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fedcross.errors import ConfigError
from fedcross.federate.flare.console import CONSOLE, Follower, follow_output, sentence_for
from fedcross.federate.flare.processes import (
    end_orphans,
    flare_command,
    flare_environment,
    keep_running,
    prepare_kit,
    stop_process_tree,
)
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.startup_kit import Kit, open_kit
from fedcross.runtime.plugins import VARIABLE

WAIT = "import time; print(flush=True); time.sleep(60)"
JOB = "nvflare.private.fed.app.server.runner_process"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder = tmp_path_factory.mktemp("start") / "kits"
    init_federation(folder, Federation("x", ("a",), "localhost", 18002))
    return open_kit(folder / "server")


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_only_jobs_of_the_kit_whose_parent_died_are_ended(server: Kit) -> None:
    begin = (
        "import subprocess, sys; "
        "wait = [sys.executable, '-c', 'import time; time.sleep(60)', '-m', *sys.argv[1:]]; "
        "print(subprocess.Popen(wait, stdout=subprocess.DEVNULL).pid)"
    )
    pids = []
    for words in ((JOB, str(server.path)), (JOB, "/another/kit"), ("other", str(server.path))):
        parent = subprocess.Popen(
            [sys.executable, "-c", begin, *words], stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout is not None
        pids.append(int(parent.stdout.readline()))
        parent.stdout.close()
        parent.wait(10)
    try:
        end_orphans(server)
        assert [is_running(pid) for pid in pids] == [False, True, True]
    finally:
        for pid in pids:
            stop_process_tree(pid)


def test_a_process_is_stopped_with_its_descendants() -> None:
    begin = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAIT!r}])"
    process = subprocess.Popen([sys.executable, "-c", begin], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # until the grandchild runs
    (child,) = psutil.Process(process.pid).children()
    stop_process_tree(process.pid)
    process.wait(10)
    process.stdout.close()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_sigterm_ends_the_process_of_the_kit_first(server: Kit) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from fedcross.federate.flare import processes\n"
        "from fedcross.federate.kits.startup_kit import open_kit\n"
        f"processes.flare_command = lambda kit: [sys.executable, '-c', {WAIT!r}]\n"
        "processes._run(open_kit(Path(sys.argv[1])), print)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(server.path)], stderr=subprocess.PIPE
    )
    process = psutil.Process(parent.pid)
    while not (children := process.children()) and parent.poll() is None:
        time.sleep(0.05)
    process.terminate()
    _, errors = parent.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    assert children
    assert not any(child.is_running() for child in children)


def begin_to_keep_running(kit: Kit, program: str) -> subprocess.Popen[str]:
    """Run `keep_running` in a process of its own; the kit's process runs `program`."""
    code = (
        "import sys; from pathlib import Path\n"
        "from fedcross.federate.flare import processes\n"
        "from fedcross.federate.kits.startup_kit import open_kit\n"
        "words = [sys.executable, '-c', sys.argv[2], processes.MAIN_MODULES[0], sys.argv[1]]\n"
        "processes.flare_command = lambda kit: words\n"
        "show = lambda line: print(line, flush=True)\n"
        "processes.keep_running(open_kit(Path(sys.argv[1])), show)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(kit.path), program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_kit_that_runs_is_not_started_again_until_its_process_was_killed(server: Kit) -> None:
    ready = "print('x - INFO - Server started', flush=True); import time; time.sleep(60)"
    first = begin_to_keep_running(server, ready)
    assert first.stdout is not None
    lines = [first.stdout.readline() for _ in range(2)]
    assert lines[1] == "The server is ready.\n", lines
    with pytest.raises(ConfigError, match=f"startup kit server is in use by process {first.pid}"):
        keep_running(server, print)
    (left,) = psutil.Process(first.pid).children()
    first.kill()  # the lock of a dead process does not count, and its child is ended
    first.communicate()
    second = begin_to_keep_running(server, ready)
    assert second.stdout is not None
    assert second.stdout.readline().startswith("Starting localhost of x")
    assert not is_running(left.pid)
    second.terminate()
    second.communicate(timeout=60)


def test_all_lines_go_to_the_file_and_few_to_the_terminal(server: Kit) -> None:
    program = (
        "import sys; print('2026 - hci - ERROR - no app command func'); "
        "print('2026 - root - INFO - Server started'); "
        "print('2026 - root - INFO - Server started'); "
        "sys.stderr.write('E0000 ssl_transport_security.cc: Handshake failed')"
    )
    (server.path / CONSOLE).unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines: list[str] = []
    follow_output(process, server, lines.append).join(10)
    process.wait(10)
    assert lines == ["The server is ready."]
    text = (server.path / CONSOLE).read_text(encoding="utf-8")
    assert text.count("Server started") == 2
    assert "no app command func" in text
    assert "Handshake failed" in text


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "- ClientManager - INFO - Client: New client s0@192.0.2.2 joined. Sent",
            "s0 is connected.",
        ),
        ("- ClientManager - INFO - Client: New admin a@b.org@192.0.2.2 joined. Sent", ""),
        ("- C - INFO - Client Name:s0 left.  Total clients: 1", "s0 has left."),
        ("- M - INFO - Client s1 disabled. Removed 1 active token(s).", "s1 is revoked."),
        ("- M - INFO - Client s1 enabled. Was disabled: True", "s1 is accepted again."),
        (
            "- M - WARNING - Reject disabled client registration: s1",
            "s1 is revoked and refused.",
        ),
        (
            "- Authenticator - ERROR - registration rejected: Client 's1' is disabled",
            "The server refuses this hospital: the coordinator has revoked it.",
        ),
        (
            "- C - INFO - Retrying [CH00001 ACTIVE grpc://localhost:1] in 8 seconds",
            "The server does not answer; trying again.",
        ),
        ("- C - INFO - Retrying [CH00001 ACTIVE tcp://localhost:1] in 8 seconds", ""),
        (
            "- JobRunner - INFO - [identity=server, run=?] - Started run: 1-2 for clients: s0,s1",
            "A job begins with s0,s1.",
        ),
        (
            "- federation - WARNING - Site s1 takes no part: ConfigError.",
            "Site s1 takes no part: ConfigError.",
        ),
        ("- federation - INFO - \x1b[2Jround", "?[2Jround"),
        ("- CoreCell - ERROR - cannot send to server: target_unreachable", ""),
        ("", ""),
    ],
)
def test_a_line_of_flare_becomes_a_sentence_or_nothing(line: str, sentence: str) -> None:
    assert sentence_for(f"2026-11-29 23:30:29,824 {line}") == sentence


def test_the_file_of_lines_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedcross.federate.flare.console.MAX_BYTES", 1000)
    lines = b"".join(b"line %d\n" % number for number in range(1000)) + b"x" * 20_000
    Follower(tmp_path / CONSOLE, print).read(io.BytesIO(lines))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [CONSOLE, f"{CONSOLE}.1", f"{CONSOLE}.2"]
    assert (tmp_path / f"{CONSOLE}.2").stat().st_size <= 1000
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 25_000


def test_a_full_disk_does_not_end_the_reading(tmp_path: Path) -> None:
    lines: list[str] = []
    Follower(tmp_path / "missing" / CONSOLE, lines.append).read(
        io.BytesIO(b"x - INFO - Server started\n")
    )
    assert lines == ["The server is ready."]


def test_errors_leave_a_site_without_their_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVFLARE_SECURE_LOGGING", "false")
    assert flare_environment()["NVFLARE_SECURE_LOGGING"] == "true"


def test_the_packages_that_a_process_allows_are_allowed_in_its_flare_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fedcross.runtime.plugins._allowed", {"one"})
    monkeypatch.setenv(VARIABLE, "two")
    assert flare_environment()[VARIABLE] == "one,two"


def test_a_prepared_kit_has_its_own_path_in_storage_and_command(server: Kit) -> None:
    prepare_kit(server)
    text = (server.path / "local" / "resources.json").read_text(encoding="utf-8")
    assert text.count(str(server.path / "storage")) == 2
    assert str(server.path) in flare_command(server)
    assert "secure_train=true" in flare_command(server)
    site = open_kit(server.path.parent / "sites" / "a")
    assert "uid=a" in flare_command(site)
