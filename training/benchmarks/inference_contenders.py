"""The contenders of the inference benchmark, and how each is run as a process of its own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from child_process import Usage, run_measured

PEER_SCRIPT = Path(__file__).with_name("inference.py")
"""The script that runs MONAI's inferer if it gets ``--peer``."""

WAITING = {"OMP_WAIT_POLICY": "passive"}
"""Makes waiting threads sleep; otherwise PyTorch's waiting threads use processor time."""
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
"""Limits the instruction set. PyTorch and OpenVINO each contain oneDNN, which reads its variable."""

COMPILE = """
import sys
from pathlib import Path
from fedcross.backends.openvino_backend import OpenVINOBackend
from fedcross.model.bundle import open_bundle
bundle = open_bundle(Path(sys.argv[1]))
for index in range(len(bundle.manifest.members)):
    OpenVINOBackend(sys.argv[2]).load(bundle, index)
"""
"""Compiles the members before the measurement, because this happens only once for each bundle."""


@dataclass(frozen=True)
class Contender:
    """A program to measure.

    Attributes
    ----------
    name
        Name in the tables.
    options
        Arguments of ``python -m fedcross.infer``; None for the peer, which runs MONAI's inferer.
    avx2
        Whether the instruction set is limited to AVX2.
    """

    name: str
    options: tuple[str, ...] | None
    avx2: bool = False

    @property
    def precision(self) -> str:
        """Number format in which the networks compute."""
        return self.options[self.options.index("--precision") + 1] if self.options else "fp32"

    @property
    def peer(self) -> str:
        """Name of the contender that it is compared with."""
        return "MONAI fp32, AVX2" if self.avx2 else "MONAI fp32"

    @property
    def folder(self) -> str:
        """Name of the folder for its results."""
        return folder_name(self.name)


def folder_name(name: str) -> str:
    """Return the name of the folder for the results of a contender."""
    return name.replace(" ", "_").replace(",", "")


def fedcross(
    backend: str, precision: str, *, avx2: bool = False, localise: bool = False
) -> Contender:
    """Return FedCross with a back-end and a precision as a contender."""
    name = (
        f"{backend} {precision}" + (", localiser" if localise else "") + (", AVX2" if avx2 else "")
    )
    options = ("--backend", backend, "--precision", precision)
    return Contender(name, (*options, "--localise") if localise else options, avx2)


CONTENDERS = (
    Contender("MONAI fp32", None),
    fedcross("torch", "fp32"),
    fedcross("tuned", "fp32"),
    fedcross("tuned", "bf16"),
    fedcross("openvino", "fp32"),
    fedcross("openvino", "bf16"),
    fedcross("openvino", "fp32", localise=True),
    fedcross("openvino", "bf16", localise=True),
    Contender("MONAI fp32, AVX2", None, avx2=True),
    fedcross("openvino", "fp32", avx2=True),
    fedcross("openvino", "fp32", avx2=True, localise=True),
)
ON_A_GPU = (
    Contender("MONAI fp32", None),
    fedcross("torch", "fp32"),
    fedcross("tuned", "fp32"),
    fedcross("tuned", "bf16"),
    fedcross("tuned", "fp16"),
    fedcross("tuned", "fp16", localise=True),
)


def run(contender: Contender, bundle: Path, image: Path, out: Path, device: str) -> Usage:
    """Run a contender as a process of its own and return its usage."""
    env = os.environ | WAITING | (AVX2 if contender.avx2 else {})
    if contender.options is None:
        command = [sys.executable, str(PEER_SCRIPT), "--peer"]
    else:
        command = [sys.executable, "-m", "fedcross.infer", *contender.options]
    if contender.options and "openvino" in contender.options:
        subprocess.run(
            [sys.executable, "-c", COMPILE, str(bundle), contender.precision], env=env, check=True
        )
    command += ["--device", device, "--bundle", str(bundle), "--image", str(image)]
    command += ["--out", str(out)]
    return run_measured(command, env)
