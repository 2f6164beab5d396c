"""What `make wheel` makes: a wheel and a source archive that install where nothing else is."""

import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import fedcross

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "training"


def run(*words: object) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def in_wheel(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (found,) = (each for each in archive.namelist() if each.endswith(name))
        return archive.read(found).decode("utf-8")


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    source = PROJECT / "src"
    expected = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == expected
    assert {"fedcross/py.typed", "fedcross/demo.toml", "fedcross/cli.py"} <= found


def test_the_metadata_names_version_licence_and_extras(wheel: Path) -> None:
    metadata = HeaderParser().parsestr(in_wheel(wheel, ".dist-info/METADATA"))
    assert metadata["Version"] == fedcross.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert {"train", "federate", "openvino", "tensorboard"} <= set(
        metadata.get_all("Provides-Extra", [])
    )
    assert "fedcross = fedcross.__main__:main" in in_wheel(wheel, "entry_points.txt")


def test_the_licence_in_the_wheel_is_that_of_the_repository(wheel: Path) -> None:
    assert in_wheel(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_source_archive_holds_the_package_and_the_configurations_only(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert "src/fedcross/demo.toml" in names
    assert "configs/hippocampus.toml" in names
    tops = {name.split("/")[0] for name in names}
    assert tops <= {
        "src",
        "configs",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "PKG-INFO",
        ".gitignore",
    }


def test_the_wheel_installs_into_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Its dependencies are those of this environment, so that the test needs no network."""
    environment = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel)
    packages = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    place = run(python, "-I", "-c", "import fedcross; print(fedcross.__file__)")
    assert Path(place.strip()).is_relative_to(environment)
    said = run(environment / "bin" / "fedcross", "--version")
    assert said == f"fedcross {fedcross.__version__}\n"


def test_the_version_is_written_in_one_place() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/fedcross/runtime/versions.py"
    for name in ("CITATION.cff", ".zenodo.json", "CMakeLists.txt", "FedCrossSlicer.json"):
        assert fedcross.__version__ not in (ROOT / name).read_text(encoding="utf-8"), name
