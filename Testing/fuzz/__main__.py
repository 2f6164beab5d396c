"""Try changed inputs of every kind.

    make fuzz                                             # 100,000 inputs; a second start goes on
    PYTHONPATH=Testing python -m fuzz --inputs 2000 --only NIfTI NRRD

The inputs are read in a process of its own. If it crashes or hangs, the input is recorded as a failure
and the next one is tried. OUT gets ``results.md``, ``state.json`` and the failing inputs.
"""

import argparse
import faulthandler
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from importlib.metadata import version
from pathlib import Path

from fedcross.runtime.files.atomic import write_atomically
from fuzz.campaign import Campaign, table
from fuzz.judge import MAX_BYTES, MAX_SECONDS

READER = "--reader"
STUCK_S = 1800
"""Seconds without a new input after which a reader that no signal stops is ended."""


def main() -> int:
    """Try the inputs; return the exit code, 1 after failures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="of all kinds together")
    parser.add_argument("--only", nargs="*", default=(), help="names of kinds")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz"))
    parser.add_argument(READER, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.reader is not None:
        return _read_inputs(given, given.reader)
    with tempfile.TemporaryDirectory(prefix="fedcross-fuzz-", dir=_fast_folder()) as temporary:
        command = [sys.executable, "-m", "fuzz", *sys.argv[1:], READER, temporary]
        while (code := subprocess.run(command, check=False).returncode) != 0:
            if code in (2, 130, -signal.SIGINT, -signal.SIGTERM):
                return code
            Campaign(given.out).record_crash(f"crash or hang, exit code {code}", Path(temporary))
    campaign = Campaign(given.out)
    write_atomically(given.out / "results.md", _report(campaign).encode())
    print((given.out / "results.md").read_text(encoding="utf-8"))
    return int(any(tally.failed for tally in campaign.tallies.values()))


def _read_inputs(given: argparse.Namespace, folder: Path) -> int:
    """Try the inputs in this process; return 2 after an error that is not that of an input."""
    from fuzz.kinds.all_kinds import ALL, SHARES

    warnings.simplefilter("error")
    faulthandler.enable()
    import torch

    torch.set_num_threads(1)
    os.environ["FEDCROSS_CACHE"] = str(folder / "cache")
    campaign = Campaign(given.out, lambda: faulthandler.dump_traceback_later(STUCK_S, exit=True))
    try:
        for tenth, kind in itertools.product(range(1, 11), ALL):  # an interrupted one has all kinds
            if not given.only or kind.name in given.only:
                campaign.run(kind, given.inputs * SHARES[kind.name] * tenth // 1000, folder)
    except Exception:  # noqa: BLE001 - the parent process ends, too
        traceback.print_exc()
        return 2
    return 0


def _fast_folder() -> str | None:
    """Return the folder in memory that Linux has, for the small files; None elsewhere."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _report(campaign: Campaign) -> str:
    """Return the figures as Markdown."""
    names = ("fedcross", "hypothesis", "torch", "SimpleITK", "pydicom")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    lines = [
        "# Changed inputs of every kind",
        "",
        "Made by `make fuzz`. Each input is a valid one in which hypothesis changed bytes, values,",
        "lines or files. It must be refused with one sentence (exit code 2), or give a correct result:",
        "the manifest and the segmentation of a bundle, the voxels of a volume, the rows of a list. It",
        f"must take less than {MAX_SECONDS:g} s of CPU time (of the process and its children) and "
        f"{MAX_BYTES // 10**6} MB: the largest",
        "resident memory while it is read less that before. It must print nothing and leave no file",
        "behind. Batches are drawn from fixed seeds.",
        "",
        f"{versions}; Python {sys.version.split()[0]}.",
        "",
        table(campaign.tallies),
    ]
    reasons = [
        f"- {name}, {count} times: {reason}"
        for name, tally in campaign.tallies.items()
        for reason, count in sorted(tally.reasons.items(), key=lambda each: -each[1])
    ]
    return "\n".join([*lines, *(["Failures:", "", *reasons, ""] if reasons else [])])


if __name__ == "__main__":
    sys.exit(main())
