"""The packages of the child process: finding, confirming, installing, checking."""

import re
import subprocess
import sys
import time
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
    "pydicom": "3.0.2",
    "openvino": "2026.4.1",
    "highdicom": "0.28.2",
}


def run(job):
    """What a job returns; its commands are run while the test waits."""
    from FedCrossSlicerLib.setup.job import BackgroundJob

    running = BackgroundJob(job)
    while running.running:
        running.poll()
        time.sleep(0.01)
    return running.result()


def found(versions):
    """A probe that finds these versions."""

    def probe(importing):
        yield from ()
        return dict(versions)

    return probe


class Recorder:
    """An installer that records its calls and pretends to install."""

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

    def ensured(versions, answer=True, works=True):
        recorder, questions, probes = Recorder(versions, works), [], []

        def confirm(question):
            questions.append(question)
            return answer

        def probe(importing):
            yield from ()
            probes.append(importing)
            return dict(versions)

        ensured.recorder, ensured.questions, ensured.probes = recorder, questions, probes
        return run(ensure(confirm, recorder, probe))

    return ensured


def test_the_user_is_not_asked_if_nothing_is_missing(ensure):
    assert ensure(dict(ALL_THERE))
    assert (ensure.questions, ensure.recorder.calls) == ([], [])


def test_torch_is_installed_separately_and_every_floor_is_passed(ensure):
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
                "pydicom>=2.4",
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


def test_a_package_of_unknown_version_counts_as_installed(ensure):
    assert ensure({**ALL_THERE, "SimpleITK": ""})
    assert ensure.recorder.calls == []


def test_nothing_is_installed_without_consent(ensure):
    assert not ensure({}, answer=False)
    assert ensure.recorder.calls == []


def test_after_an_installation_every_package_is_imported(ensure):
    ensure({})
    assert ensure.probes == [False, True]


def test_packages_still_missing_after_the_installation_are_named(ensure):
    from FedCrossSlicerLib.errors import InstallError

    with pytest.raises(
        InstallError,
        match=r"^Still missing: monai>=1\.4\. Installed: none\. You can safely try again",
    ):
        ensure({name: v for name, v in ALL_THERE.items() if name != "monai"}, works=False)


def test_a_failed_installation_names_installed_and_missing_packages(loaded):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup import install

    class Breaks(Recorder):
        def install(self, requirements):
            raise InstallError("A package could not be installed. See the log.")

    recorder = Breaks({})
    with pytest.raises(InstallError) as caught:
        run(install.ensure(lambda _: True, recorder, found(recorder.versions)))
    assert "Installed: torch." in str(caught.value)
    assert "Still missing: monai>=1.4, numpy>=1.26" in str(caught.value)


def test_a_replaced_numpy_requires_a_restart(loaded):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup import install

    recorder = Recorder({**ALL_THERE, "numpy": "1.20.0"})
    with pytest.raises(InstallError, match="Restart Slicer"):
        run(install.ensure(lambda _: True, recorder, found(recorder.versions)))


def test_openvino_is_offered_on_request_and_never_required(loaded):
    from FedCrossSlicerLib.setup import install

    versions = {name: v for name, v in ALL_THERE.items() if name != "openvino"}
    recorder = Recorder(versions, works=False)
    assert run(install.ensure(lambda _: True, recorder, found(versions)))
    assert recorder.calls == []
    assert run(install.ensure(lambda _: True, recorder, found(versions), offerOpenVINO=True))
    assert recorder.calls == [("pip", ["openvino>=2025.0"])]


def test_highdicom_is_installed_only_if_dicom_files_are_to_be_made(loaded):
    from FedCrossSlicerLib.setup import install
    from FedCrossSlicerLib.setup.requirements import HIGHDICOM

    versions = {name: v for name, v in ALL_THERE.items() if name not in ("openvino", "highdicom")}
    recorder, questions = Recorder(versions), []
    assert run(install.ensure(lambda _: True, recorder, found(versions)))
    assert recorder.calls == []

    def probe(importing):
        yield from ()
        return dict(versions)

    agree = lambda question: questions.append(question) or True  # noqa: E731
    assert run(install.ensure(agree, recorder, probe, also=(HIGHDICOM,)))
    assert recorder.calls == [("pip", ["highdicom>=0.28"])]
    assert "highdicom>=0.28  (about 1 MB)" in questions[0]


def test_a_highdicom_that_is_still_missing_after_its_installation_is_named(loaded):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup import install
    from FedCrossSlicerLib.setup.requirements import HIGHDICOM

    versions = {name: v for name, v in ALL_THERE.items() if name != "highdicom"}
    recorder = Recorder(versions, works=False)
    with pytest.raises(InstallError, match=r"^Still missing: highdicom>=0\.28\."):
        run(install.ensure(lambda _: True, recorder, found(versions), also=(HIGHDICOM,)))


def test_a_folder_of_wheels_is_installed_without_network(loaded, tmp_path):
    import slicer

    from FedCrossSlicerLib.setup import install

    folder = tmp_path / "Räder für Slicer"
    slicer.packaging.installed.clear()
    install.WheelsInstaller(folder).install(install.REQUIREMENTS[1:2])
    assert slicer.packaging.installed == [["--no-index", "--find-links", str(folder), "monai>=1.4"]]
    assert "nothing is downloaded" in install.question(install.REQUIREMENTS, folder)


def test_the_check_lists_versions_and_graphics_cards(loaded):
    from FedCrossSlicerLib.setup.install import checkInstallation

    text = run(checkInstallation(found(ALL_THERE)))
    assert "torch 2.13.0+cpu" in text
    assert "Everything is installed." in text
    assert "GPU" in text
    incomplete = run(checkInstallation(found({"torch": "2.13.0"})))
    assert "Missing or too old: monai>=1.4" in incomplete
    assert "highdicom is not installed. It is optional and saves results as DICOM." in incomplete


@pytest.fixture
def two_packages(loaded, monkeypatch):
    """Requires only packages that are imported quickly."""
    from FedCrossSlicerLib.setup import requirements

    few = [
        requirements.Requirement("numpy", "1.26"),
        requirements.Requirement("safetensors", "0.4.3"),
    ]
    monkeypatch.setattr(requirements, "REQUIREMENTS", few)


def test_the_versions_are_those_of_the_childs_python(loaded):
    from FedCrossSlicerLib.setup.requirements import OPTIONAL, REQUIREMENTS, installedVersions

    expected = (*REQUIREMENTS, *OPTIONAL)
    assert run(installedVersions()) == {each.name: version(each.name) for each in expected}


def test_importing_the_packages_finds_the_same_versions(two_packages):
    from FedCrossSlicerLib.setup.requirements import installedVersions

    versions = run(installedVersions(importing=True))
    names = ("numpy", "safetensors", "openvino", "highdicom")
    assert versions == {name: version(name) for name in names}


def test_a_package_that_cannot_be_imported_counts_as_missing(two_packages, tmp_path, monkeypatch):
    from FedCrossSlicerLib.setup import job, requirements

    (tmp_path / "safetensors.py").write_text("raise OSError('a library is missing')")
    monkeypatch.setattr(job, "childEnvironment", lambda: {"PYTHONPATH": str(tmp_path)})
    assert "safetensors" in run(requirements.installedVersions(importing=False))
    assert "safetensors" not in run(requirements.installedVersions(importing=True))


def test_a_python_that_cannot_be_run_raises_one_sentence(loaded, monkeypatch):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup import requirements

    monkeypatch.setattr(requirements, "childPython", lambda: "/nowhere/python")
    with pytest.raises(InstallError, match="could not be run"):
        run(requirements.installedVersions())


def test_without_the_pytorch_extension_the_error_names_the_extensions_manager(loaded):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup.install import SlicerInstaller
    from FedCrossSlicerLib.setup.requirements import TORCH

    with pytest.raises(InstallError, match="Extensions Manager"):
        SlicerInstaller().installTorch(TORCH)


@pytest.mark.parametrize(
    "error", [subprocess.CalledProcessError(1, "pip"), ImportError("no libtorch"), None]
)
def test_a_torch_that_cannot_be_installed_raises_one_sentence(loaded, monkeypatch, error):
    from FedCrossSlicerLib.errors import InstallError
    from FedCrossSlicerLib.setup.install import SlicerInstaller
    from FedCrossSlicerLib.setup.requirements import TORCH

    calls = []

    def installTorch(**keywords):
        calls.append(keywords)
        if error is not None:
            raise error

    extension = SimpleNamespace(
        PyTorchUtilsLogic=lambda: SimpleNamespace(installTorch=installTorch)
    )
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    with pytest.raises(InstallError, match=r"PyTorch could not be installed\. See the log"):
        SlicerInstaller().installTorch(TORCH)
    assert calls == [{"torchVersionRequirement": ">=2.4"}]


def test_slicers_pip_receives_the_floors(loaded):
    import slicer

    from FedCrossSlicerLib.setup.install import SlicerInstaller
    from FedCrossSlicerLib.setup.requirements import REQUIREMENTS

    slicer.packaging.installed.clear()
    SlicerInstaller().install(REQUIREMENTS[1:3])
    assert slicer.packaging.installed == [["monai>=1.4", "numpy>=1.26"]]


def test_the_floors_are_those_of_the_packages_pyproject(loaded):
    from FedCrossSlicerLib.setup.requirements import HIGHDICOM, OPENVINO, REQUIREMENTS

    project = tomllib.loads((ROOT / "training" / "pyproject.toml").read_text(encoding="utf-8"))
    own = {re.split("[>=<]", line)[0]: line for line in project["project"]["dependencies"]}
    only_for_the_command_line = {"typer", "rich"}
    ours = {requirement.name: str(requirement) for requirement in REQUIREMENTS}
    assert ours == {k: v for k, v in own.items() if k not in only_for_the_command_line}
    extras = project["project"]["optional-dependencies"]
    assert extras["dicom"] == [str(HIGHDICOM)]
    assert extras["openvino"] == [str(OPENVINO)]
