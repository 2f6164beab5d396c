"""Versions of the packages with which a bundle or a result is made."""

from importlib import metadata

_REPORTED = ("fedcross", "torch", "monai", "numpy", "SimpleITK", "safetensors")


def package_versions() -> dict[str, str]:
    """Return package name to installed version, without the packages that have no metadata."""
    versions = {}
    for name in _REPORTED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # such as fedcross itself where it is installed as a part of the Slicer module
    return versions
