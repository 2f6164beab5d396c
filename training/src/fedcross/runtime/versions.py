"""The version of this package, and of those that decide a result."""

from importlib import metadata

__version__ = "0.1.0"
"""The build reads it here, too. In Slicer the package lies as plain files, without metadata."""
_REPORTED = ("torch", "monai", "numpy", "SimpleITK", "safetensors")


def package_versions() -> dict[str, str]:
    """Return the versions of this package and of the installed ones that decide a result."""
    versions = {"fedcross": __version__}
    for name in _REPORTED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # it is not installed
    return versions
