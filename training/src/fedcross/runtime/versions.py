"""Which packages made a bundle or a result."""

from importlib import metadata

_REPORTED = ("fedcross", "torch", "monai", "numpy", "SimpleITK", "safetensors")


def package_versions() -> dict[str, str]:
    """Return the installed versions of the packages that decide a result; absent ones left out."""
    versions = {}
    for name in _REPORTED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # inside Slicer the package lies beside the module and has no metadata
    return versions
