from tiny_ensemble import blobs, bundle, image_path, make_bundle, volume

__all__ = [  # fixtures
    "blobs",
    "bundle",
    "image_path",
    "make_bundle",
    "volume",
]
