"""The Compose file in the kits of the server and the hospitals. No container is started."""

import os
import re
import shlex
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from fedcross.cli import app
from fedcross.federate.kits.add_site import add_site
from fedcross.federate.kits.container import COMPOSE, IMAGE
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.renew import renew_kit
from fedcross.federate.kits.service import README

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("federation") / "kits"
    init_federation(folder, Federation("tiny", ("north",), "localhost", 18002))
    add_site(folder, "south")
    return folder


def service(path: Path) -> dict[str, Any]:
    (found,) = yaml.safe_load(path.read_text(encoding="utf-8"))["services"].values()
    return found


def fill_in(kit: Path, tmp_path: Path) -> dict[str, Any]:
    """Copy a kit, run the line of its README that fills the file in, and read the file."""
    copied = tmp_path / "a kit"
    shutil.copytree(kit, copied)
    settings = copied / "local" / "site.toml"
    if settings.exists():
        text = settings.read_text(encoding="utf-8")
        settings.write_text(text.replace("/path/to/the/data", "/data/all cases"), encoding="utf-8")
    readme = (copied / "startup" / README).read_text(encoding="utf-8")
    start = readme.index("sed -e", readme.index("in a container"))
    command = readme[start : readme.index("docker compose -f", start)]
    subprocess.run(["sh", "-c", command], check=True, cwd=copied / "startup")
    text = (copied / "startup" / "installed.yaml").read_text(encoding="utf-8")
    assert "@" not in text
    return service(copied / "startup" / "installed.yaml")


@pytest.mark.parametrize("kit", ["server", "sites/north", "sites/south"])
def test_the_filled_in_file_runs_the_kit_as_its_owner_without_rights(
    kits: Path, tmp_path: Path, kit: str
) -> None:
    assert stat.S_IMODE((kits / kit / "startup" / COMPOSE).stat().st_mode) == 0o600
    found, path = fill_in(kits / kit, tmp_path), str(tmp_path / "a kit")
    assert found["image"] == IMAGE
    assert found["user"] == f"{os.getuid()}:{os.getgid()}"
    assert found["command"] == ["federation", "start", path]
    command: Any = get_command(app)
    assert "start" in command.commands["federation"].commands
    assert found["restart"] == "unless-stopped"  # also when the machine starts
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert f"{path}:{path}" in found["volumes"]
    assert f"{path}/startup:{path}/startup:ro" in found["volumes"]
    assert "privileged" not in found
    assert "network_mode" not in found


def test_a_hospital_reads_its_cases_and_opens_no_port(kits: Path, tmp_path: Path) -> None:
    found = fill_in(kits / "sites" / "north", tmp_path)
    assert found["volumes"][2:] == ["/data/all cases:/data/all cases:ro"]
    assert "ports" not in found
    (device,) = found["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_a_hospital_without_a_gpu_removes_lines_as_the_comment_says(kits: Path) -> None:
    text = (kits / "sites" / "north" / "startup" / COMPOSE).read_text(encoding="utf-8")
    rest = text[: text.index("    # Without a GPU")]
    (found,) = yaml.safe_load(rest)["services"].values()
    assert "deploy" not in found


def test_the_server_opens_its_port_only_and_reads_no_cases(kits: Path, tmp_path: Path) -> None:
    found = fill_in(kits / "server", tmp_path)
    assert found["ports"] == ["18002:18002"]
    assert len(found["volumes"]) == 2
    assert "deploy" not in found


def test_a_renewed_kit_has_the_same_file_and_the_coordinator_has_none(kits: Path) -> None:
    for name, kit in (("server", kits / "server"), ("north", kits / "sites" / "north")):
        before = (kit / "startup" / COMPOSE).read_bytes()
        assert (renew_kit(kits, name) / COMPOSE).read_bytes() == before
    assert not (renew_kit(kits, "admin") / COMPOSE).exists()


def test_the_readme_builds_the_image_from_a_recipe_with_the_extra_that_a_kit_needs(
    kits: Path,
) -> None:
    readme = (kits / "server" / "startup" / README).read_text(encoding="utf-8")
    (line,) = re.findall(r"^docker build .*$", readme, flags=re.M)
    words = shlex.split(line)
    recipe = ROOT / words[words.index("-f") + 1]
    assert re.search(r"^ARG EXTRAS=", recipe.read_text(encoding="utf-8"), flags=re.M)
    assert words[words.index("--build-arg") + 1] == "EXTRAS=federate"
    assert words[words.index("-t") + 1] == IMAGE
    assert (ROOT / words[-1] / "pyproject.toml").is_file()
