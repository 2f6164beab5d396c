import subprocess
import sys

GROWTH = """
import numpy as np
from fedcross.runtime.memory import resident_bytes

before = resident_bytes()
array = np.ones(50_000_000, np.uint8)
print((resident_bytes() - before) / array.nbytes)
"""


def test_the_resident_memory_grows_by_an_array_that_is_filled() -> None:
    # In a new process: a process that has freed memory before may use that again.
    done = subprocess.run(
        [sys.executable, "-c", GROWTH], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 0.8
