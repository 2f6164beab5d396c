"""Type stubs of what the module uses of Slicer. MRML classes and logics have no types: they are Any."""

from typing import Any

from slicer import i18n as i18n
from slicer import util as util

def __getattr__(name: str) -> Any: ...
