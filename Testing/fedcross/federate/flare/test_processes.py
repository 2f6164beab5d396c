import subprocess
import sys
import time

import psutil
import pytest

from fedcross.federate.flare.processes import (
    end_orphans,
    flare_command,
    flare_environment,
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
        "processes._run(open_kit(Path(sys.argv[1])))"
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
