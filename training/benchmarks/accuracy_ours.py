"""Train one of our methods, for `accuracy.py`.

    python training/benchmarks/accuracy_ours.py RUN

RUN contains `request.json`. The run folder is `RUN/run`; an interrupted run is resumed.
"""

import json
import sys
from pathlib import Path

from accuracy_request import TRAINING, read_request

from fedcross.federate.local.engine import run_local
from fedcross.runtime.reporting import PlainReporter
from fedcross.training.run.folder import TEST, RunFolder


def main() -> int:
    """Train, and evaluate the test cases; return the exit code."""
    folder = Path(sys.argv[1])
    config = read_request(folder).config
    run = RunFolder(folder / "run")
    if not (run.path / TEST).is_file():
        run_local(config, run.path, resume=run.exists, reporter=PlainReporter(sys.stdout))
    visits = [line for line in run.metrics() if "samples" in line]
    samples = sum(line["samples"] for line in visits)
    figures = {
        "training_s": sum(line["seconds"] for line in visits),
        "steps": samples // config.training.batch_size,
    }
    (folder / TRAINING).write_text(json.dumps(figures) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
