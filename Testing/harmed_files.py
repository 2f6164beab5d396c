"""Damage a file in the ways that disks, other programs and other users do."""

from pathlib import Path

HARMS = (
    *("cut", "empty", "longer", "first bit", "last bit", "replaced", "brackets", "gone"),
    *("folder", "dangling link", "link to itself", "link to another file"),
)
"""A link to itself cannot be read by anybody, also not by root."""


def damage(path: Path, harm: str) -> None:
    """Damage a file of at least one byte; `harm` is one of `HARMS`."""
    data = path.read_bytes()
    path.unlink()
    if harm == "folder":
        (path / "inner").mkdir(parents=True)
    elif harm == "dangling link":
        path.symlink_to("nowhere")
    elif harm == "link to itself":
        path.symlink_to(path.name)
    elif harm == "link to another file":
        other = path.with_name("other")
        other.write_bytes(b"other")
        path.symlink_to(other)
    elif harm != "gone":
        path.write_bytes(_changed(data, harm))


def _changed(data: bytes, harm: str) -> bytes:
    if harm == "first bit":
        return bytes([data[0] ^ 1]) + data[1:]
    if harm == "last bit":
        return data[:-1] + bytes([data[-1] ^ 1])
    return {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "longer": data + b"\0",
        "replaced": b"x" * len(data),
        "brackets": b"[" * 200_000,
    }[harm]
