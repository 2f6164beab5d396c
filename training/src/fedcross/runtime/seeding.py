"""Random generators: one for each purpose, seeded with the name of the purpose."""

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seed_of(*purpose: int | str) -> int:
    """Return a seed from 0 to 2^63 - 1 that depends only on the parts of `purpose`.

    Parameters
    ----------
    purpose
        For example ``"patches", seed, member, round``.
    """
    digest = hashlib.sha256("/".join(str(part) for part in purpose).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def torch_generator(*purpose: int | str) -> "torch.Generator":
    """Return a CPU generator for `purpose`; the same purpose gives the same numbers anywhere."""
    import torch  # the other functions do without

    return torch.Generator().manual_seed(seed_of(*purpose))


def python_generator(*purpose: int | str) -> random.Random:
    """Return a generator of Python's standard library, seeded with `seed_of`."""
    return random.Random(seed_of(*purpose))
