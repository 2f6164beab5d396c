"""Files that the user drops onto the panel."""

from collections.abc import Callable, Sequence
from typing import Any

import qt
import slicer


class FileDrop(qt.QObject):  # type: ignore[misc]  # PythonQt has no type stubs
    """Calls a function with the paths of files that are dropped onto a widget.

    Parameters
    ----------
    widget
        The widget; files can also be dropped onto the text lines in it.
    openFiles
        Called with the paths; returns whether it used one of them.
    """

    def __init__(self, widget: Any, openFiles: Callable[[Sequence[str]], bool]) -> None:
        qt.QObject.__init__(self)
        self._openFiles = openFiles
        widget.acceptDrops = True
        for line in slicer.util.findChildren(widget, className="QLineEdit"):
            line.acceptDrops = False  # otherwise the text line inserts the file's address
        widget.installEventFilter(self)

    def eventFilter(self, _watched: Any, event: Any) -> bool:
        """Handle drops of files; Qt handles all other events."""
        if event.type() == qt.QEvent.DragEnter and event.mimeData().hasUrls():
            event.acceptProposedAction()
            return True
        if event.type() == qt.QEvent.Drop and event.mimeData().hasUrls():
            paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
            if self._openFiles(paths):
                event.acceptProposedAction()
            return True
        return False
