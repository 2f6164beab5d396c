"""Files dropped onto the panel. Qt's event filter, kept thin: what is done with them is elsewhere."""

from collections.abc import Callable, Sequence
from typing import Any

import qt
import slicer


class FileDrop(qt.QObject):
    """Catches files that are dropped onto a widget.

    Parameters
    ----------
    widget
        Where they may be dropped, also on the lines of text in it.
    take
        Called with their paths; returns whether it took one.
    """

    def __init__(self, widget: Any, take: Callable[[Sequence[str]], bool]) -> None:
        qt.QObject.__init__(self)
        self._take = take
        widget.acceptDrops = True
        for line in slicer.util.findChildren(widget, className="QLineEdit"):
            line.acceptDrops = False  # it would write the file's address into itself
        widget.installEventFilter(self)

    def eventFilter(self, _watched: Any, event: Any) -> bool:
        """Take the files of a drop; everything else goes its way."""
        if event.type() == qt.QEvent.DragEnter and event.mimeData().hasUrls():
            event.acceptProposedAction()
            return True
        if event.type() == qt.QEvent.Drop and event.mimeData().hasUrls():
            paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
            if self._take(paths):
                event.acceptProposedAction()
            return True
        return False
