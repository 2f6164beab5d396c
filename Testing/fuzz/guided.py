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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings

from fedcross.runtime.files.atomic import write_atomically
from fuzz.campaign import Campaign, Tally, table, try_valid
from fuzz.judge import FAILED, judge
from fuzz.kind import Input, Kind

KIND = "--kind"
SAVED_EVERY = 100
"""Inputs after which the figures are stored; the process of a kind ends without notice."""


def main() -> int:
    """Try every kind for some time; return the exit code, 1 after failures, 2 without atheris."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=300, help="for each kind")
    parser.add_argument("--only", nargs="*", default=(), help="names of kinds")
    parser.add_argument("--out", type=Path, default=Path("build/fuzz-guided"))
    parser.add_argument(KIND, help=argparse.SUPPRESS)
    given_options = parser.parse_args()
    if find_spec("atheris") is None:
        print("atheris is not installed: pip install atheris (Linux, Python 3.11).")
        return 2
    if given_options.kind is not None:
        _try_kind(given_options.kind, given_options.out, given_options.seconds)
    for name in given_options.only or _names():
        command = [sys.executable, "-m", "fuzz.guided", *sys.argv[1:], KIND, name]
        subprocess.run(command, check=False)
    campaign = Campaign(given_options.out)
    text = f"# Inputs that atheris steers\n\n{table(campaign.tallies)}"
    write_atomically(given_options.out / "results.md", text.encode())
    print(text)
    return int(any(tally.failed for tally in campaign.tallies.values()))


def _names() -> list[str]:
    from fuzz.kinds.all_kinds import ALL

    return [kind.name for kind in ALL]


def _try_kind(name: str, out: Path, seconds: int) -> None:
    """Try inputs of a kind; the process ends when the time is over."""
    import atheris

    with atheris.instrument_imports(include=["fedcross"]):
        from fuzz.kinds.all_kinds import ALL
    import torch

    torch.set_num_threads(1)
    (kind,) = (kind for kind in ALL if kind.name == name)
    campaign = Campaign(out)
    folder = Path(tempfile.mkdtemp(prefix="fedcross-fuzz-"))
    try_valid(kind, folder)
    atheris.Setup(
        [sys.argv[0], f"-max_total_time={seconds}", "-rss_limit_mb=0", "-timeout=600"],
        _test_of(kind, campaign, folder).hypothesis.fuzz_one_input,
    )
    atheris.Fuzz()


def _test_of(kind: Kind, campaign: Campaign, folder: Path) -> Any:
    tally = campaign.tallies.setdefault(kind.name, Tally())

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(kind.inputs)
    def each(one: Input) -> None:
        outcome = judge(kind, one, folder)
        tally.add(outcome)
        if outcome.verdict == FAILED:
            campaign.keep(kind, one, outcome.reason)
        if tally.inputs % SAVED_EVERY == 0 or outcome.verdict == FAILED:
            campaign.save()

    return each


if __name__ == "__main__":
    sys.exit(main())
