"""A command that fails before its first result leaves no new file or folder."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from fedcross.cli import main
from tiny_federation import write_federation

Edit = Callable[[Path], object]


def fedcross(*words: str | Path) -> int:
    """Run a command and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["fedcross", *map(str, words)])
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0)
    return 0


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A federation, its finished run, a bundle of it, and a list of cases."""
    folder = tmp_path_factory.mktemp("prepared")
    config = write_federation(folder / "data", local_epochs=0, rounds=1)
    assert fedcross("train", config, "--out", folder / "run", "--device", "cpu") == 0
    assert fedcross("export", folder / "run", folder / "bundle") == 0
    images, labels = folder / "data/s0/images", folder / "data/s0/labels"
    lines = ["image,label", *(f"{images}/case-{n}.nii.gz,{labels}/case-{n}.nii.gz" for n in (0, 1))]
    (folder / "cases.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def work(prepared: Path, tmp_path: Path) -> Path:
    """A copy of `prepared` that the test may change."""
    shutil.copytree(prepared, tmp_path / "work")
    listed = tmp_path / "work" / "cases.csv"
    text = listed.read_text(encoding="utf-8").replace(str(prepared), str(tmp_path / "work"))
    listed.write_text(text, encoding="utf-8")
    return tmp_path / "work"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def remove_image(work: Path) -> None:
    (work / "data/s0/images/case-1.nii.gz").unlink()


def damage_images(work: Path) -> None:
    for image in (work / "data").glob("*/images/*"):
        image.write_bytes(image.read_bytes()[:3000])


def remove_test_labels(work: Path) -> None:
    for label in (work / "data").glob("*/labels/*"):
        label.unlink()


def damage_bundle(work: Path) -> None:
    next((work / "bundle/models").glob("member_0*")).write_bytes(b"")


def begin_from_nothing(work: Path) -> None:
    config = work / "data/config.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text + '[start]\nbundle = "absent"\n', encoding="utf-8")


CONFIG, OUT = "data/config.toml", "new/out"
EVALUATE = ("evaluate", "bundle", "--out", OUT)
CALIBRATE = ("calibrate", "bundle", "--data", CONFIG, "--out", OUT)
PROFILE = ("profile", "bundle", "--data", CONFIG, "--out", OUT)
COMPARE = ("compare", CONFIG, "--methods", "local", "--seeds", "1", "--out", OUT)
LANDSCAPE = ("landscape", "run", "--data", "data", "--out", OUT)


@pytest.mark.parametrize(
    ("command", "make_mistake"),
    [
        ((*EVALUATE, "--list", "cases.csv"), remove_image),
        ((*EVALUATE, "--list", "cases.csv"), damage_images),
        ((*EVALUATE, "--data", CONFIG), remove_image),
        ((*EVALUATE, "--data", CONFIG), damage_images),
        ((*EVALUATE, "--data", CONFIG), damage_bundle),
        (CALIBRATE, remove_image),
        (CALIBRATE, damage_images),
        (CALIBRATE, damage_bundle),
        (PROFILE, remove_image),
        (PROFILE, damage_images),
        (PROFILE, damage_bundle),
        ((*COMPARE,), remove_image),
        ((*COMPARE,), damage_images),
        ((*COMPARE,), begin_from_nothing),
        ((*COMPARE, "--device", "cuda:9"), lambda work: None),
        (LANDSCAPE, remove_image),
        (LANDSCAPE, damage_images),
        ((*LANDSCAPE, "--start", "untrained", "--device", "cuda:9"), lambda work: None),
        (("data", "check", "absent.toml", "--out", OUT), lambda work: None),
        (("segment", "--bundle", "bundle", "--images", "absent", "--out", OUT), lambda work: None),
        (
            ("segment", "--bundle", "bundle", "--images", "cases.csv", "--workers", "999999"),
            lambda work: None,
        ),
        (
            ("segment", "--bundle", "bundle", "--image", "absent.nii.gz", "--out", OUT),
            lambda work: None,
        ),
        (
            (
                "segment",
                "--bundle",
                "bundle",
                "--image",
                "data/s0/images/case-0.nii.gz",
                "--out",
                OUT,
            ),
            damage_images,
        ),
        (("train", CONFIG, "--out", OUT), begin_from_nothing),
        (("train", CONFIG, "--out", "data"), lambda work: None),
        (("export", "run", OUT, "--which", "first"), lambda work: None),
    ],
)
def test_what_was_there_stays_and_nothing_is_new(
    command: tuple[str, ...],
    make_mistake: Edit,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_mistake(work)
    monkeypatch.chdir(work)
    before = sorted(work.rglob("*"))
    assert fedcross(*command) == 2
    assert sorted(work.rglob("*")) == before
