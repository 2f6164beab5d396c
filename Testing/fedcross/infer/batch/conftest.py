from tiny_ensemble import back_end, blobs, bundle, image_path, make_bundle, single_thread, volume

__all__ = [  # fixtures
    "back_end",
    "blobs",
    "bundle",
    "image_path",
    "make_bundle",
    "single_thread",
    "volume",
]
