from tiny_ensemble import (
    asymmetric_members,
    back_end,
    blobs,
    bundle,
    image_path,
    make_bundle,
    single_thread,
    volume,
)

__all__ = [  # fixtures
    "asymmetric_members",
    "back_end",
    "blobs",
    "bundle",
    "image_path",
    "make_bundle",
    "single_thread",
    "volume",
]
