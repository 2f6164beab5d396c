"""Bundles that the user drops onto the panel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from FedCrossSlicerLib.bundle.info import isBundlePath


class BundleDrop(qt.QObject):  # type: ignore[misc]  # PythonQt has no type stubs
    """Calls a function with the path of a bundle that is dropped onto a widget.

    A drag without a bundle is not handled, so that Slicer opens the files.

    Parameters
    ----------
    widget
        The widget; bundles can also be dropped onto the text lines in it.
    openBundle
        Called with the path of the first bundle of a drop.
    """

    def __init__(self, widget: Any, openBundle: Callable[[str], None]) -> None:
        qt.QObject.__init__(self)
        self._openBundle = openBundle
        widget.acceptDrops = True
        for line in slicer.util.findChildren(widget, className="QLineEdit"):
            line.acceptDrops = False  # otherwise the text line inserts the file's address
        widget.installEventFilter(self)

    def eventFilter(self, _watched: Any, event: Any) -> bool:
        """Handle drags and drops of bundles; Qt handles all other events."""
        kind = event.type()
        if kind not in (qt.QEvent.DragEnter, qt.QEvent.Drop):
            return False
        bundle = _bundleIn(event.mimeData())
        if bundle is None:
            return False
        event.acceptProposedAction()
        if kind == qt.QEvent.Drop:
            self._openBundle(bundle)
        return True


def _bundleIn(data: Any) -> str | None:
    """Path of the first bundle among dragged files; None if there is none."""
    if not data.hasUrls():
        return None
    paths = [str(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
    return next((path for path in paths if isBundlePath(Path(path))), None)
