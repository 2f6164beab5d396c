"""Where randomness comes from: a generator for every purpose, seeded by what it is for."""

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seed_of(*purpose: int | str) -> int:
    """Return a 63-bit seed that depends on every part of `purpose` and on nothing else."""
    digest = hashlib.sha256("/".join(str(part) for part in purpose).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def torch_generator(*purpose: int | str) -> "torch.Generator":
    """Return a CPU generator for `purpose`; the same purpose gives the same numbers anywhere."""
    import torch  # the other functions do without

    return torch.Generator().manual_seed(seed_of(*purpose))


def python_generator(*purpose: int | str) -> random.Random:
    """The same for Python's own generator."""
    return random.Random(seed_of(*purpose))
