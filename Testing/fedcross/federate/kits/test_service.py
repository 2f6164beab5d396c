"""The systemd unit in the kits of the server and the hospitals."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from fedcross.federate.kits.add_site import add_site
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.renew import renew_kit
from fedcross.federate.kits.service import README, SERVICE, install_text


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation") / "kits"
    init_federation(folder, Federation("tiny", ("north",), "localhost", 18002))
    add_site(folder, "south")
    return folder


@pytest.mark.parametrize("kit", ["server", "sites/north", "sites/south"])
def test_every_kit_that_runs_a_process_has_a_unit_with_placeholders_only(
    kits: Path, kit: str
) -> None:
    path = kits / kit / "startup" / SERVICE
    text = path.read_text(encoding="utf-8")
    assert 'ExecStart="@FEDCROSS@" federation start "@KIT@"' in text
    assert f"Description=FedCross: {Path(kit).name} of the federation tiny" in text
    assert "/" not in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_renewed_kit_has_the_unit_and_the_coordinator_has_none(kits: Path) -> None:
    (kits / "sites" / "north" / "startup" / SERVICE).unlink()
    assert (renew_kit(kits, "north") / SERVICE).is_file()
    assert not (renew_kit(kits, "admin") / SERVICE).exists()


def test_the_first_command_of_the_readme_makes_a_unit_that_systemd_accepts(
    kits: Path, tmp_path: Path
) -> None:
    kit = tmp_path / "a kit"
    shutil.copytree(kits / "server", kit)
    program = tmp_path / "bin" / "fedcross"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    readme = (kit / "startup" / README).read_text(encoding="utf-8")
    assert readme == install_text("server", "tiny", 18002)
    command = readme[readme.index("sed -e") : readme.index("sudo cp")]
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", command], check=True, cwd=kit / "startup", env=environment)
    unit = kit / "startup" / "installed.service"
    lines = unit.read_text(encoding="utf-8").splitlines()
    assert f'ExecStart="{program}" federation start "{kit}"' in lines
    assert f"WorkingDirectory={kit}" in lines
    assert not any("@" in line for line in lines)
    if shutil.which("systemd-analyze") is None:
        return
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True
    )
    assert "installed.service" not in found.stderr, found.stderr
