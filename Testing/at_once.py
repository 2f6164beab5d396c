"""Run commands of `fedcross` in processes that begin at the same time."""

import io
import multiprocessing
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import torch

from fedcross.cli import main

End = tuple[int, str]
"""Exit code, and what was printed to stderr."""


def run_at_once(folder: Path, *commands: list[str]) -> list[End]:
    """Run the words of command lines in a folder; return how each ended.

    The processes are forks of a server that has imported this module, so that they begin soon.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    barrier, queue = context.Barrier(len(commands)), context.SimpleQueue()
    processes = [
        context.Process(target=_run, args=(number, words, str(folder), barrier, queue))
        for number, words in enumerate(commands)
    ]
    for each in processes:
        each.start()
    ends = dict(queue.get() for _ in processes)
    for each in processes:
        each.join()
    return [ends[number] for number in range(len(processes))]


def _run(
    number: int,
    words: list[str],
    folder: str,
    barrier: Barrier,
    queue: "SimpleQueue[tuple[int, End]]",
) -> None:
    torch.set_num_threads(1)
    os.chdir(folder)
    sys.argv = ["fedcross", *words]
    errors, code = io.StringIO(), 0
    barrier.wait()
    try:
        with redirect_stderr(errors), redirect_stdout(io.StringIO()):
            main()
    except SystemExit as end:
        code = int(end.code or 0)
    queue.put((number, (code, errors.getvalue())))
