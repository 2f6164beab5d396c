"""Code of an installed package, from the configuration to the segmentation; see docs/plugins.md."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import SimpleITK as sitk

import fedcross
from custom_federation import write_custom_federation
from fedcross.errors import PluginError
from fedcross.runtime.plugins import VARIABLE
from installed_packages import EXAMPLE, PACKAGE, example, example_paths, nothing_allowed

__all__ = ["example", "nothing_allowed"]  # fixtures


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example's metadata, a configuration, a run, a bundle and a volume."""
    folder = tmp_path_factory.mktemp("plugins")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedcross.runtime.plugins._allowed", set())
        for path in example_paths(folder / "installed"):
            patch.syspath_prepend(path)
        config = write_custom_federation(folder)
        run = fedcross.train(config, folder / "run", device="cpu")
        fedcross.export(run, folder / "bundle")
    shutil.copy(folder / "s0" / "images" / "case-0.nii.gz", folder / "volume.nii.gz")
    return folder


@pytest.fixture
def run_python(trained: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs Python with words, where the package is installed or not."""

    def run(
        *words: str | Path, installed: bool = True, allowed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        paths = [Path(path) for path in sys.path if path and "example_plugin" not in path]
        paths += [trained / "installed", EXAMPLE] if installed else []
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        environment[VARIABLE] = allowed
        return subprocess.run(
            [sys.executable, *map(str, words)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )

    return run


Run = Callable[..., subprocess.CompletedProcess[str]]

# Runs command lines one after another; prints each exit code, and whether the package was imported.
COMMANDS = """
import json, sys
from fedcross.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    code = 0
    try:
        main()
    except SystemExit as error:
        code = error.code or 0
    print("code:", code, "imported:", "fedcross_example" in sys.modules)
"""


def command_lines(*lines: Sequence[str | Path]) -> tuple[str, str, str]:
    """Return the words that let Python run command lines of `fedcross`."""
    return "-c", COMMANDS, json.dumps([[str(word) for word in words] for words in lines])


def outcomes(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The last words of every command line: exit code and whether the package was imported."""
    return [line for line in done.stdout.splitlines() if line.startswith("code:")]


def test_the_run_and_the_bundle_name_the_package_and_its_version(trained: Path) -> None:
    recorded = json.loads((trained / "run" / "config.json").read_text(encoding="utf-8"))
    assert recorded["packages"][PACKAGE] == "1.0.0"
    assert "plugins" not in recorded["configuration"]
    metadata = json.loads((trained / "bundle" / "configs" / "metadata.json").read_text("utf-8"))
    assert metadata["fedcross"]["architecture"]["plugin"] == {
        "package": PACKAGE,
        "entry": "two-level",
        "version": "1.0.0",
        "arguments": {"channels": 4},
    }
    assert metadata["required_packages_version"][PACKAGE] == "1.0.0"
    assert f"{PACKAGE} 1.0.0" in (trained / "bundle" / "docs" / "README.md").read_text("utf-8")


def test_the_member_travels_with_the_state_of_the_packages_optimiser(trained: Path) -> None:
    from fedcross.training.run.folder import RunFolder

    last = RunFolder(trained / "run").checkpoints.latest()
    assert last is not None
    assert {name.split(".")[0] for name in last.members[0].optimizer} == {"average"}
    assert last.members[0].rounds_done == 2


def test_the_command_line_segments_with_an_allowed_package(trained: Path, run_python: Run) -> None:
    words = ["segment", "--bundle", trained / "bundle", "--image", trained / "volume.nii.gz"]
    words += ["--out", trained / "result", "--allow-plugin", PACKAGE]
    done = run_python(*command_lines([*words, "--backend", "tuned", "--device", "cpu"]))
    assert outcomes(done) == ["code: 0 imported: True"], done.stderr
    assert (trained / "result" / "summary.json").is_file()


def test_the_child_process_takes_the_allowed_packages_from_its_environment(
    trained: Path, run_python: Run, tmp_path: Path
) -> None:
    words = ["--bundle", trained / "bundle", "--image", trained / "volume.nii.gz"]
    words += ["--out", tmp_path / "result", "--events", "--device", "cpu", "--backend", "torch"]
    refused = run_python("-m", "fedcross.infer", *words)
    assert refused.returncode == 2
    event = json.loads(refused.stdout.splitlines()[-1])
    assert (event["event"], event["type"]) == ("error", "PluginError")
    assert event["message"] == (
        "The network 'two-level' is code of the package fedcross-example 1.0.0, which you have not "
        "allowed."
    )
    done = run_python("-m", "fedcross.infer", *words, allowed=f"another,{PACKAGE}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("installed", [True, False])
def test_without_the_package_or_without_allowance_one_sentence_is_said_and_nothing_imported(
    trained: Path, run_python: Run, installed: bool, tmp_path: Path
) -> None:
    bundle, image, out = trained / "bundle", trained / "volume.nii.gz", tmp_path / "refused"
    config = write_custom_federation(tmp_path, allows=False)
    refused = (
        ["segment", "--bundle", bundle, "--image", image, "--out", out],
        ["bundle", "verify", bundle],
        ["bundle", "pack", bundle, tmp_path / "bundle.zip"],
        ["export", trained / "run", out],
        ["train", config, "--out", out],
    )
    done = run_python(*command_lines(*refused, ["bundle", "show", bundle]), installed=installed)
    assert outcomes(done) == ["code: 2 imported: False"] * len(refused) + [
        "code: 0 imported: False"
    ]
    reason = "which you have not allowed" if installed else "which is not installed"
    for line in done.stderr.splitlines():
        assert re.search(f"package {PACKAGE}( 1.0.0)?, {reason}", line)
    assert len(done.stderr.splitlines()) == len(refused)
    assert "'two-level' of the package fedcross-example 1.0.0" in " ".join(done.stdout.split())
    assert not out.exists()


@pytest.mark.usefixtures("nothing_allowed")
def test_another_version_of_the_package_is_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in example_paths(tmp_path / "installed", version="1.1.0"):
        monkeypatch.syspath_prepend(path)
    fedcross.allow_plugins(PACKAGE)
    with pytest.raises(
        PluginError, match=r"fedcross-example 1\.0\.0, which is installed in .* 1\.1\.0"
    ):
        fedcross.segment(trained / "volume.nii.gz", trained / "bundle")


@pytest.mark.parametrize("backend", ["torch", "tuned", "openvino"])
def test_every_back_end_segments_alike_with_a_network_of_a_package(
    trained: Path, example: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.setenv("FEDCROSS_CACHE", str(tmp_path))
    fedcross.allow_plugins(example)
    volume = sitk.ReadImage(str(trained / "volume.nii.gz"))
    found, expected = (
        fedcross.segment(volume, trained / "bundle", device="cpu", backend=name)
        for name in (backend, "torch")
    )
    difference = abs(found.probabilities["Blob"] - expected.probabilities["Blob"]).max()
    assert difference < 1e-3
    assert expected.probabilities["Blob"].max() > 0.2


def test_a_run_begins_from_the_bundle_of_a_run_with_the_same_network(
    trained: Path, example: str, tmp_path: Path
) -> None:
    config = write_custom_federation(tmp_path)
    run = fedcross.train(config, tmp_path / "run", start=trained / "bundle", device="cpu")
    begun = json.loads((run / "config.json").read_text("utf-8"))["configuration"]["start"]["sha256"]
    with fedcross.open_bundle(trained / "bundle") as bundle:
        assert begun == bundle.sha256
