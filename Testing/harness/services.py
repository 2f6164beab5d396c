"""Stand-ins for Slicer's translation and package installation."""

import sys
import types
from typing import Any

import slicer


def i18n() -> types.ModuleType:
    """Return the module to be imported as `slicer.i18n`; texts are not translated."""
    made = types.ModuleType("slicer.i18n")
    made.tr = lambda text: text
    made.translate = lambda context, text: text
    return made


class PackagingRecorder(types.ModuleType):
    """Stands in for `slicer.packaging` and records the packages that would be installed.

    Attributes
    ----------
    installed
        The requirements of every call, in order.
    """

    def __init__(self) -> None:
        super().__init__("slicer.packaging")
        self.installed: list[list[str]] = []

    def pip_install(self, requirements: str | list[str], **_: Any) -> None:
        self.installed.append([requirements] if isinstance(requirements, str) else requirements)


def provide() -> None:
    """Make both importable, in a process without Qt too."""
    for name, module in {"i18n": i18n(), "packaging": PackagingRecorder()}.items():
        provideModule(name, module)


def provideModule(name: str, module: types.ModuleType) -> None:
    """Make `module` importable as ``slicer.<name>``, unless a module of this name exists."""
    if f"slicer.{name}" not in sys.modules:
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
