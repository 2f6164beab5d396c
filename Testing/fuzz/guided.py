"""Try inputs that atheris steers into new paths of the code; needs atheris (`pip install atheris`).

    PYTHONPATH=Testing python -m fuzz.guided --seconds 600 --only NIfTI MetaImage

Atheris draws bytes, and hypothesis makes a changed input of them, as in `fuzz`. The inputs are judged
like there. Each kind has a process of its own. OUT gets ``results.md``, ``state.json`` and the failing
inputs.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

# Nothing of fedcross is imported here: atheris follows only what is imported after it.
KIND = "--kind"
REPORT = """\
# Inputs that atheris steers

Made by `make fuzz-guided`. Atheris draws bytes, follows which lines of the code they reach, and changes
those that reach new ones. Hypothesis makes inputs of the bytes, as in [results.md](results.md), which
states the conditions. Each kind was tried for {seconds} s. The last inputs of a kind, fewer than 100,
are not counted.

{table}"""
SAVED_EVERY = 100
"""Inputs after which the figures are stored; the process of a kind ends without notice."""


def main() -> int:
    """Try every kind for some time; return the exit code, 1 after failures, 2 without atheris."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=300, help="for each kind")
    parser.add_argument("--only", nargs="*", default=(), help="names of kinds")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz-guided"))
    parser.add_argument(KIND, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if find_spec("atheris") is None:
        print("atheris is not installed: pip install atheris (Linux, Python 3.11).")
        return 2
    if given.kind is not None:
        _try_kind(given.kind, given.out, given.seconds)
    from fuzz.campaign import Campaign, table
    from fuzz.kinds.all_kinds import ALL

    for name in given.only or [kind.name for kind in ALL]:
        command = [sys.executable, "-m", "fuzz.guided", *sys.argv[1:], KIND, name]
        subprocess.run(command, check=False)
    campaign = Campaign(given.out)
    text = REPORT.format(seconds=given.seconds, table=table(campaign.tallies))
    (given.out / "results.md").write_text(text, encoding="utf-8")
    print(text)
    return int(any(tally.failed for tally in campaign.tallies.values()))


def _try_kind(name: str, out: Path, seconds: int) -> None:
    """Try inputs of a kind; the process ends when the time is over."""
    import atheris

    with atheris.instrument_imports(include=["fedcross"]):
        from fuzz.guided_function import make_test
    test: Callable[[bytes], bytes | None] = make_test(
        name, out, Path(tempfile.mkdtemp(prefix="fedcross-fuzz-")), SAVED_EVERY
    )
    options = [f"-max_total_time={seconds}", "-rss_limit_mb=0", "-timeout=600"]
    atheris.Setup([sys.argv[0], *options], test)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
