"""What a benchmark records of its machine, code and packages."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def record_facts(packages: Sequence[str]) -> dict[str, Any]:
    """Return date, commit, machine, load, and versions of packages, for the file of a run."""
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return {
        "date": str(date.today()),
        "commit": read_commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {threads} threads, "
        f"Python {platform.python_version()}",
        "load": os.getloadavg()[0],
        "versions": {name: version(name) for name in packages},
    }


def read_commit() -> str:
    """Return the short hash of the repository's commit; "unknown" outside a repository."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def processor_facts() -> dict[str, Any]:
    """Return date, processor with its instructions, cores, load, and versions of packages."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "processor": model or platform.processor() or platform.machine(),
        "instructions": [flag for flag in INSTRUCTIONS if flag in flags],
        "cores": os.cpu_count(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "versions": {name: version(name) for name in ("torch", "monai", "openvino", "numpy")},
    }
