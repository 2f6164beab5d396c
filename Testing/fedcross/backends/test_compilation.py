import pickle
import shutil
from io import BytesIO
from pathlib import Path

import pytest

from fedcross.backends import compilation
from fedcross.backends.compilation import compile_member
from fedcross.errors import BundleError
from fedcross.model.bundle import Bundle
from fedcross.runtime import device
from fedcross.runtime.device import Precision
from fedcross.runtime.files.cache_folder import CACHE_VARIABLE
from harmed_files import HARMS, damage

pytest.importorskip("openvino")


class Compiled:
    """A compiled member that consists of its exported bytes only."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def export_model(self, file: BytesIO) -> None:
        file.write(self.data)


class Processor:
    """The part of ``openvino.Core`` that is used, for a processor with given properties."""

    def __init__(self, name: str = "CPU", *abilities: str, refuses: bool = False) -> None:
        self._properties = {"FULL_DEVICE_NAME": name, "OPTIMIZATION_CAPABILITIES": list(abilities)}
        self._refuses = refuses
        self.read = 0

    def get_property(self, device: str, name: str) -> object:
        assert device == "CPU"
        return self._properties[name]

    def import_model(self, file: BytesIO, device: str, settings: dict[str, str]) -> Compiled:
        if self._refuses:
            raise RuntimeError("built for another runtime")
        self.read += 1
        return Compiled(file.read())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Precision]]:
    """List of the members compiled; compilation is replaced, `test_backends` tests the real one."""
    done: list[tuple[int, Precision]] = []

    def make(
        core: object, bundle: Bundle, index: int, precision: Precision, settings: dict[str, str]
    ) -> Compiled:
        assert (
            settings["INFERENCE_PRECISION_HINT"]
            == {
                "fp32": "f32",
                "bf16": "bf16",
                "fp16": "f16",
            }[precision]
        )
        done.append((index, precision))
        return Compiled(f"{index} {precision}".encode())

    monkeypatch.setattr(compilation, "_convert_and_compile", make)
    return done


def test_a_member_is_compiled_once(bundle: Bundle, made: list[tuple[int, Precision]]) -> None:
    core = Processor()
    for _ in range(3):
        assert compile_member(core, bundle, 0, "fp32").data == b"0 fp32"
        assert compile_member(core, bundle, 1, "fp32").data == b"1 fp32"
    assert made == [(0, "fp32"), (1, "fp32")]
    assert core.read == 4


def test_each_precision_is_compiled_separately(
    bundle: Bundle, made: list[tuple[int, Precision]]
) -> None:
    for _ in range(2):
        assert compile_member(Processor(), bundle, 0, "fp32").data == b"0 fp32"
        assert compile_member(Processor(), bundle, 0, "bf16").data == b"0 bf16"
        assert compile_member(Processor(), bundle, 0, "fp16").data == b"0 fp16"
    assert made == [(0, "fp32"), (0, "bf16"), (0, "fp16")]


@pytest.mark.parametrize("what", ["processor", "capabilities", "instruction limit", "version"])
def test_a_member_is_compiled_again_for_another_processor_or_version(
    bundle: Bundle,
    cache: Path,
    made: list[tuple[int, Precision]],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    compile_member(Processor("A", "FP32"), bundle, 0, "fp32")
    other = Processor("A", "FP32")
    if what == "processor":
        other = Processor("B", "FP32")
    elif what == "capabilities":
        other = Processor("A", "FP32", "BF16")
    elif what == "instruction limit":
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    else:

        class Newer:
            @staticmethod
            def get_version() -> str:
                return "2099.1-123-abc"

        monkeypatch.setattr(compilation, "import_openvino", Newer)
    compile_member(other, bundle, 0, "fp32")
    assert made == [(0, "fp32"), (0, "fp32")]
    assert len(list(cache.rglob("member_0"))) == 2


def test_a_cached_member_that_openvino_cannot_import_is_compiled_again(
    bundle: Bundle, made: list[tuple[int, Precision]]
) -> None:
    compile_member(Processor(), bundle, 0, "fp32")
    assert compile_member(Processor(refuses=True), bundle, 0, "fp32").data == b"0 fp32"
    assert made == [(0, "fp32"), (0, "fp32")]


@pytest.mark.parametrize("file", ["compiled.bin", "sha256.json"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_cache_gives_the_same_member_and_is_repaired(
    bundle: Bundle, cache: Path, made: list[tuple[int, Precision]], file: str, harm: str
) -> None:
    compile_member(Processor(), bundle, 0, "fp32")
    (entry,) = cache.rglob("member_0")
    damage(entry / file, harm)
    for _ in range(2):
        assert compile_member(Processor(), bundle, 0, "fp32").data == b"0 fp32"
    assert made == [(0, "fp32"), (0, "fp32")]


@pytest.mark.parametrize("place", ["fedcross", "fedcross/openvino"])
@pytest.mark.parametrize("what", ["file", "dangling link"])
def test_a_cache_folder_that_is_none_gives_the_same_member(
    bundle: Bundle, cache: Path, made: list[tuple[int, Precision]], place: str, what: str
) -> None:
    path = cache / place
    path.parent.mkdir(parents=True)
    if what == "file":
        path.write_bytes(b"")
    else:
        path.symlink_to("nowhere/at/all")
    for _ in range(2):
        assert compile_member(Processor(), bundle, 0, "fp32").data == b"0 fp32"


def test_networks_are_rewritten_on_x86_only(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = bundle.load_member(0)
    monkeypatch.setattr(device.platform, "machine", lambda: "arm64")
    assert compilation._rewrite(network, "fp32") is network
    monkeypatch.setattr(device.platform, "machine", lambda: "AMD64")
    kinds = {
        precision: type(compilation._rewrite(bundle.load_member(0), precision)).__name__
        for precision in ("fp32", "bf16", "fp16")
    }
    assert kinds == {"fp32": "WinogradUNet", "bf16": "ComposedUNet", "fp16": "ComposedUNet"}


@pytest.mark.parametrize("fault", ["changed", "missing", "pickle"])
def test_a_damaged_member_is_refused_also_if_it_was_compiled_before(
    bundle: Bundle, tmp_path: Path, made: list[tuple[int, Precision]], fault: str
) -> None:
    copy = Bundle(Path(shutil.copytree(bundle.path, tmp_path / "copy")), bundle.manifest)
    compile_member(Processor(), copy, 0, "fp32")
    file = copy.path / copy.manifest.members[0].file
    if fault == "changed":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    elif fault == "missing":
        file.unlink()
    else:
        file.write_bytes(pickle.dumps({"weights": [1.0]}))
    with pytest.raises(BundleError, match=r"member_0\.safetensors"):
        compile_member(Processor(), copy, 0, "fp32")
    assert made == [(0, "fp32")]


def test_without_a_cache_folder_a_member_is_compiled_every_time(
    bundle: Bundle, made: list[tuple[int, Precision]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation, "cache_folder", lambda: None)
    for _ in range(2):
        compile_member(Processor(), bundle, 0, "fp32")
    assert made == [(0, "fp32"), (0, "fp32")]
