"""A tiny federation that is trained with all parts of the example package."""

from pathlib import Path

from installed_packages import PACKAGE
from tiny_federation import write_federation

SECTIONS = """
optimizer = "custom"
[training.optimizer_plugin]
package = "fedcross-example"
entry = "lion"
[loss]
kind = "custom"
[loss.plugin]
package = "fedcross-example"
entry = "log-dice-ce"
arguments = { weight = 0.5 }
[augmentation.plugin]
package = "fedcross-example"
entry = "erase"
"""
NETWORK = """[network]
name = "custom"
downsampling = [2, 2, 2]
[network.plugin]
package = "fedcross-example"
entry = "two-level"
arguments = { channels = 4 }
"""
UNET = '[network]\nname = "unet"\nbase_channels = 2\nnorm = "group"\n'


def write_custom_federation(folder: Path, *, allows: bool = True) -> Path:
    """Write a tiny federation that is trained with everything of the example package."""
    path = write_federation(folder, extra=SECTIONS.strip())
    text = path.read_text(encoding="utf-8")
    assert UNET in text
    text = text.replace(UNET, NETWORK)
    path.write_text((f'plugins = ["{PACKAGE}"]\n' if allows else "") + text, encoding="utf-8")
    return path
