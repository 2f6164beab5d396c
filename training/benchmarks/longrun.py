"""Train a tiny federation for many rounds and record memory and disk after each round.

    PYTHONPATH=Testing python training/benchmarks/longrun.py [--rounds 300] [--out FOLDER]

Two sites with one training case each, FedCrossEns with two members, a U-Net with two channels on patches
of 32x16x16 voxels, validation and checkpoint after every round. After each round the resident memory
of the process and the size of the run folder are measured. FOLDER gets ``rounds.csv``, ``longrun.svg``
and ``results.md``. The run folder is temporary.
"""

import argparse
import csv
import io
import re
import tempfile
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from machine_facts import processor_facts

import fedcross
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.memory import resident_bytes
from fedcross.runtime.reporting import NullReporter
from tiny_federation import write_federation

OUT = Path(__file__).parent / "results" / "longrun"
WARM_UP = 20
"""Rounds after which the memory is expected to be constant: libraries allocate in the first ones."""
MB = 1e6
_ROUND = re.compile(r"Round (\d+)/\d+")


@dataclass(frozen=True)
class Sample:
    """What is measured after a round.

    Attributes
    ----------
    round
        Number of the round, from 1.
    seconds
        Time since the start of the training.
    memory_bytes
        Resident memory of the process.
    checkpoint_bytes, text_bytes
        Size of the checkpoints, and of all other files of the run folder.
    files
        Number of files in the run folder.
    """

    round: int
    seconds: float
    memory_bytes: int
    checkpoint_bytes: int
    text_bytes: int
    files: int


class Recorder(NullReporter):
    """Takes a sample when a finished round is reported.

    Parameters
    ----------
    run
        The run folder.
    """

    def __init__(self, run: Path) -> None:
        self.samples: list[Sample] = []
        self._run, self._began = run, time.monotonic()

    def log(self, message: str) -> None:
        """Take a sample if the message reports a finished round."""
        if not (found := _ROUND.match(message)):
            return
        sizes = {path: path.stat().st_size for path in self._run.rglob("*") if path.is_file()}
        checkpoints = sum(size for path, size in sizes.items() if "checkpoints" in path.parts)
        self.samples.append(
            Sample(
                int(found[1]),
                round(time.monotonic() - self._began, 2),
                resident_bytes(),
                checkpoints,
                sum(sizes.values()) - checkpoints,
                len(sizes),
            )
        )


def slope(samples: list[Sample], name: str) -> float:
    """Return the growth of a figure per round after the warm-up, by least squares."""
    late = [each for each in samples if each.round > WARM_UP]
    values = [getattr(each, name) for each in late]
    return float(np.polyfit([each.round for each in late], values, 1)[0])


def describe(samples: list[Sample]) -> str:
    """Return the results as Markdown."""
    machine = processor_facts()
    first = next(each for each in samples if each.round > WARM_UP)
    last = samples[-1]
    late = [each.memory_bytes / MB for each in samples if each.round > WARM_UP]
    rows = [
        ("resident memory, MB", "memory_bytes", MB, "{:.1f}"),
        ("checkpoints, kB", "checkpoint_bytes", 1000, "{:.0f}"),
        ("records, kB", "text_bytes", 1000, "{:.0f}"),
        ("files", "files", 1, "{:.0f}"),
    ]
    lines = [
        "# A long run",
        "",
        f"{last.round} rounds of a tiny federation in {last.seconds:.0f} s "
        f"({machine['processor']}, PyTorch {machine['versions']['torch']}), measured by "
        "`PYTHONPATH=Testing python training/benchmarks/longrun.py`.",
        "",
        f"| | round {first.round} | round {last.round} | largest |",
        "|---|---|---|---|",
    ]
    for title, name, unit, form in rows:
        largest = max(getattr(each, name) for each in samples)
        values = [getattr(each, name) / unit for each in (first, last)] + [largest / unit]
        lines.append(f"| {title} | {' | '.join(map(form.format, values))} |")
    lines += [
        "",
        f"After round {WARM_UP} the memory was between {min(late):.1f} and {max(late):.1f} MB; its",
        f"slope (least squares) is {100 * slope(samples, 'memory_bytes') / MB:.2f} MB per 100 rounds.",
        "Two or three rounds are kept as checkpoints: the last two, and the best one if it is older.",
        "The records (`metrics.jsonl`, `train.log` and others) grow by "
        f"{slope(samples, 'text_bytes') / 1000:.2f} kB per round.",
        "",
        "![Memory and disk by round](longrun.svg)",
        "",
    ]
    return "\n".join(lines)


def draw(samples: list[Sample]) -> bytes:
    """Return a picture of memory and disk by round, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    rounds = [each.round for each in samples]
    style = {"svg.hashsalt": "longrun", "svg.fonttype": "none"}
    with mpl.rc_context(style):
        figure, (memory, disk) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
        memory.plot(rounds, [each.memory_bytes / MB for each in samples])
        memory.set(xlabel="round", ylabel="resident memory, MB", ylim=(0, None))
        disk.plot(rounds, [each.checkpoint_bytes / 1000 for each in samples], label="checkpoints")
        disk.plot(rounds, [each.text_bytes / 1000 for each in samples], label="records")
        disk.set(xlabel="round", ylabel="size on disk, kB", ylim=(0, None))
        disk.legend()
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
        plt.close(figure)
    return file.getvalue()


def table(samples: list[Sample]) -> bytes:
    """Return all samples as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Sample)])
    writer.writerows(map(astuple, samples))
    return text.getvalue().encode()


def main() -> None:
    """Train, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300, help=f"more than {WARM_UP + 2}")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fedcross-longrun-") as temporary:
        folder = Path(temporary)
        config = write_federation(folder / "data", rounds=given.rounds)
        recorder = Recorder(folder / "run")
        fedcross.train(config, folder / "run", device="cpu", reporter=recorder)
    given.out.mkdir(parents=True, exist_ok=True)
    write_atomically(given.out / "rounds.csv", table(recorder.samples))
    write_atomically(given.out / "longrun.svg", draw(recorder.samples))
    write_atomically(given.out / "results.md", describe(recorder.samples).encode())


if __name__ == "__main__":
    main()
