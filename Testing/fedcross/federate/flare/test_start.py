import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from fedcross.federate.flare import start
from fedcross.federate.flare.start import command, end_orphans, environment, prepare, stop
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.startup_kit import Kit, open_kit

WAIT = "import time; print(flush=True); time.sleep(60)"
JOB = "nvflare.private.fed.app.server.runner_process"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    folder = tmp_path_factory.mktemp("start") / "kits"
    init_federation(folder, Federation("x", ("a",), "localhost", 18002))
    return open_kit(folder / "server")


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_job_whose_parent_died_is_ended_and_nothing_else(server: Kit) -> None:
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
        assert [runs(pid) for pid in pids] == [False, True, True]
    finally:
        for pid in pids:
            stop(pid)


def test_a_process_is_stopped_with_everything_it_started() -> None:
    begin = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {WAIT!r}])"
    process = subprocess.Popen([sys.executable, "-c", begin], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # the grandchild runs
    (child,) = psutil.Process(process.pid).children()
    stop(process.pid)
    process.wait(10)
    process.stdout.close()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_request_to_terminate_ends_the_kits_process_first(
    server: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, started = set(psutil.Process().children()), []

    def terminate() -> None:
        while not started:
            time.sleep(0.05)
            started.extend(set(psutil.Process().children()) - before)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(start, "command", lambda kit: [sys.executable, "-c", WAIT])
    thread = threading.Thread(target=terminate)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        start._run(server)
    thread.join()
    assert not any(process.is_running() for process in started)


def test_errors_leave_a_site_without_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVFLARE_SECURE_LOGGING", "false")
    assert environment()["NVFLARE_SECURE_LOGGING"] == "true"


def test_a_servers_storage_follows_it_and_its_process_knows_where_it_is(server: Kit) -> None:
    prepare(server)
    text = (server.path / "local" / "resources.json").read_text(encoding="utf-8")
    assert text.count(str(server.path / "storage")) == 2
    assert str(server.path) in command(server)
    assert "secure_train=true" in command(server)
    site = open_kit(server.path.parent / "sites" / "a")
    assert "uid=a" in command(site)
