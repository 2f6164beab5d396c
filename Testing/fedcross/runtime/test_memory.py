import numpy as np

from fedcross.runtime.memory import resident_bytes


def test_the_resident_memory_grows_by_an_array_that_is_filled() -> None:
    before = resident_bytes()
    held = np.ones(50_000_000, np.uint8)
    assert resident_bytes() - before > 0.8 * held.nbytes
