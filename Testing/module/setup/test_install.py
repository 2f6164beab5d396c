"""The child's packages: looked for, asked about, installed, looked for again."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[3]
ALL_THERE = {
    "torch": "2.13.0+cpu",
    "monai": "1.6.1",
    "numpy": "2.4.6",
    "scipy": "1.16.0",
    "SimpleITK": "2.5.7",
    "safetensors": "0.8.0",
    "pydantic": "2.14.3",
    "openvino": "2026.4.1",
}


class Recorder:
    """An installer that notes what it is told, and makes it so."""

    def __init__(self, versions, works=True):
        self.versions = versions
        self.works = works
        self.calls = []

    def installTorch(self, requirement):
        self.calls.append(("torch", str(requirement)))
        self._make([requirement])

    def install(self, requirements):
        self.calls.append(("pip", [str(requirement) for requirement in requirements]))
        self._make(requirements)

    def _make(self, requirements):
        if self.works:
            self.versions.update({r.name: ALL_THERE[r.name] for r in requirements})


@pytest.fixture
def ensure(loaded):
    from FedCrossSlicerLib.setup.install import ensure

    def run(versions, answer=True, works=True):
        recorder, questions, probes = Recorder(versions, works), [], []

        def confirm(question):
            questions.append(question)
            return answer

        def probe(importing):
            probes.append(importing)
            return dict(versions)

        run.recorder, run.questions, run.probes = recorder, questions, probes
        return ensure(confirm, recorder, probe)

    return run


def test_nothing_is_asked_when_all_is_there(ensure):
    assert ensure(dict(ALL_THERE))
    assert (ensure.questions, ensure.recorder.calls) == ([], [])


def test_torch_goes_its_own_way_and_floors_are_always_passed(ensure):
    versions = {"numpy": "2.4.6", "SimpleITK": "2.5.7"}
    assert ensure(versions)
    assert ensure.recorder.calls == [
        ("torch", "torch>=2.4"),
        (
            "pip",
            [
                "monai>=1.4",
                "scipy>=1.11",
                "safetensors>=0.4.3",
                "pydantic>=2.7",
                "openvino>=2025.0",
            ],
        ),
    ]
    assert "torch>=2.4  (200 MB" in ensure.questions[0]
    assert "monai>=1.4  (about 2 MB)" in ensure.questions[0]
    assert "nothing about you or your patients is sent" in ensure.questions[0]


def test_a_version_below_the_floor_counts_as_missing(ensure):
    assert ensure({**ALL_THERE, "torch": "2.3.1+cu121", "pydantic": "1.10.2"})
    assert ensure.recorder.calls == [("torch", "torch>=2.4"), ("pip", ["pydantic>=2.7"])]


def test_a_package_of_unknown_version_is_trusted(ensure):
    assert ensure({**ALL_THERE, "SimpleITK": ""})
    assert ensure.recorder.calls == []


def test_nothing_is_installed_without_consent(ensure):
    assert not ensure({}, answer=False)
    assert ensure.recorder.calls == []


def test_after_an_installation_everything_is_imported_in_earnest(ensure):
    ensure({})
    assert ensure.probes == [False, True]


def test_what_is_missing_after_the_installation_is_named(ensure):
    from FedCrossSlicerLib.errors import InstallError

    with pytest.raises(
        InstallError,
        match=r"^Still missing: monai>=1\.4\. Installed: none\. You can safely try again",
    ):
        ensure({name: v for name, v in ALL_THERE.items() if name != "monai"}, works=False)


def test_a_failure_in_the_middle_says_what_is_there_and_what_is_not(loaded):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup import install

    class Breaks(Recorder):
        def install(self, requirements):
            raise InstallError("A package could not be installed. See the log.")

    recorder = Breaks({})
    with pytest.raises(InstallError) as caught:
        install.ensure(lambda _: True, recorder, lambda _: dict(recorder.versions))
    assert "Installed: torch." in str(caught.value)
    assert "Still missing: monai>=1.4, numpy>=1.26" in str(caught.value)


def test_a_replaced_numpy_asks_for_a_restart(loaded):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup import install

    recorder = Recorder({**ALL_THERE, "numpy": "1.20.0"})
    with pytest.raises(InstallError, match="Restart Slicer"):
        install.ensure(lambda _: True, recorder, lambda _: dict(recorder.versions))


def test_what_only_makes_it_faster_is_offered_when_asked_for_and_never_insisted_on(loaded):
    from FedCrossSlicerLib.setup import install

    versions = {name: v for name, v in ALL_THERE.items() if name != "openvino"}
    recorder = Recorder(versions, works=False)
    assert install.ensure(lambda _: True, recorder, lambda _: dict(versions))
    assert recorder.calls == []
    assert install.ensure(lambda _: True, recorder, lambda _: dict(versions), offerOpenVINO=True)
    assert recorder.calls == [("pip", ["openvino>=2025.0"])]


def test_a_folder_of_wheels_is_installed_from_without_network(loaded, tmp_path):
    import slicer

    from FedCrossSlicerLib.setup import install

    folder = tmp_path / "Räder für Slicer"
    slicer.packaging.installed.clear()
    install.WheelsInstaller(folder).install(install.REQUIREMENTS[1:2])
    assert slicer.packaging.installed == [["--no-index", "--find-links", str(folder), "monai>=1.4"]]
    assert "nothing is downloaded" in install.question(install.REQUIREMENTS, folder)


def test_checking_names_versions_and_graphics_cards(loaded):
    from FedCrossSlicerLib.setup.install import checkInstallation

    said = checkInstallation(lambda importing: {k: v for k, v in ALL_THERE.items() if importing})
    assert "torch 2.13.0+cpu" in said
    assert "Everything is installed." in said
    assert "GPU" in said
    lacking = checkInstallation(lambda _: {"torch": "2.13.0"})
    assert "Missing or too old: monai>=1.4" in lacking


@pytest.fixture
def two_packages(loaded, monkeypatch):
    """Only packages that are imported quickly."""
    from FedCrossSlicerLib.setup import requirements

    few = [
        requirements.Requirement("numpy", "1.26"),
        requirements.Requirement("safetensors", "0.4.3"),
    ]
    monkeypatch.setattr(requirements, "REQUIREMENTS", few)


def test_the_childs_own_python_is_asked(loaded):
    from FedCrossSlicerLib.setup.requirements import OPENVINO, REQUIREMENTS, installedVersions

    expected = (*REQUIREMENTS, OPENVINO)
    assert installedVersions() == {each.name: version(each.name) for each in expected}


def test_importing_in_earnest_finds_the_same(two_packages):
    from FedCrossSlicerLib.setup.requirements import installedVersions

    found = installedVersions(importing=True)
    assert found == {name: version(name) for name in ("numpy", "safetensors", "openvino")}


def test_a_package_that_cannot_be_imported_is_not_there(two_packages, tmp_path, monkeypatch):
    from FedCrossSlicerLib.setup import requirements

    (tmp_path / "safetensors.py").write_text("raise OSError('a library is missing')")
    monkeypatch.setattr(requirements, "childEnvironment", lambda: {"PYTHONPATH": str(tmp_path)})
    assert "safetensors" in requirements.installedVersions(importing=False)
    assert "safetensors" not in requirements.installedVersions(importing=True)


def test_a_python_that_does_not_answer_is_one_sentence(loaded, monkeypatch):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup import requirements

    monkeypatch.setattr(requirements, "childPython", lambda: "/nowhere/python")
    with pytest.raises(InstallError, match="could not be run"):
        requirements.installedVersions()


def test_without_the_pytorch_extension_the_user_is_told_where_to_get_it(loaded):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup.install import SlicerInstaller
    from FedCrossSlicerLib.setup.requirements import TORCH

    with pytest.raises(InstallError, match="Extensions Manager"):
        SlicerInstaller().installTorch(TORCH)


@pytest.mark.parametrize(
    "error", [subprocess.CalledProcessError(1, "pip"), ImportError("no libtorch"), None]
)
def test_a_torch_that_cannot_be_installed_is_one_sentence(loaded, monkeypatch, error):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup.install import SlicerInstaller
    from FedCrossSlicerLib.setup.requirements import TORCH

    asked = []

    def installTorch(**given):
        asked.append(given)
        if error is not None:
            raise error

    extension = SimpleNamespace(
        PyTorchUtilsLogic=lambda: SimpleNamespace(installTorch=installTorch)
    )
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    with pytest.raises(InstallError, match=r"PyTorch could not be installed\. See the log"):
        SlicerInstaller().installTorch(TORCH)
    assert asked == [{"torchVersionRequirement": ">=2.4"}]


def test_slicers_pip_gets_the_floors(loaded):
    import slicer

    from FedCrossSlicerLib.setup.install import SlicerInstaller
    from FedCrossSlicerLib.setup.requirements import REQUIREMENTS

    slicer.packaging.installed.clear()
    SlicerInstaller().install(REQUIREMENTS[1:3])
    assert slicer.packaging.installed == [["monai>=1.4", "numpy>=1.26"]]


def test_the_floors_are_the_packages_own(loaded):
    from FedCrossSlicerLib.setup.requirements import REQUIREMENTS

    project = tomllib.loads((ROOT / "training" / "pyproject.toml").read_text(encoding="utf-8"))
    own = {re.split("[>=<]", line)[0]: line for line in project["project"]["dependencies"]}
    only_for_the_command_line = {"typer", "rich"}
    ours = {requirement.name: str(requirement) for requirement in REQUIREMENTS}
    assert ours == {k: v for k, v in own.items() if k not in only_for_the_command_line}
