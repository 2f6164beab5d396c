"""Buttons that explain a figure: each opens a section of the documentation in a window."""

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.package import documentationPage
from FedCrossSlicerLib.panel.widgets.page import Section, readSections

PAGE = "uncertainty.md"
PROPERTY = "helpSection"
"""Property of a button in the .ui file: the heading that it opens."""


class Help:
    """The window with the page that explains the figures, and the buttons that open it.

    Parameters
    ----------
    ui
        The named widgets of the .ui file; those with `PROPERTY` are the buttons.

    Attributes
    ----------
    window
        The window; None before it is first opened.
    """

    def __init__(self, ui: Any) -> None:
        self.window: Any = None
        self._sections: list[Section] = []
        self._list: Any = None
        self._text: Any = None
        named = [(widget, widget.property(PROPERTY)) for widget in vars(ui).values()]
        self._buttons = [_HelpButton(each, title, self.open) for each, title in named if title]

    def open(self, title: str) -> None:
        """Show a section; the list in the window leads to all others."""
        if self.window is None:
            self._build()
        titles = [section.title for section in self._sections]
        if titles:
            self._list.setCurrentIndex(titles.index(title) if title in titles else 0)
            self._show(self._list.currentIndex)
        self.window.show()
        self.window.raise_()

    def release(self) -> None:
        """Delete the window: its parent, the main window, stays."""
        if self.window is not None:
            self._list.disconnect("currentIndexChanged(int)", self._show)
            self.window.close()
            self.window.deleteLater()
            self.window = None

    def _build(self) -> None:
        self._sections = readSections(documentationPage(PAGE))
        self.window = qt.QDialog(slicer.util.mainWindow())
        self.window.windowTitle = _("What the figures mean")
        self.window.resize(620, 480)
        self._list = qt.QComboBox()
        self._list.addItems(
            ["    " * (section.level - 2) + section.title for section in self._sections]
        )
        self._text = qt.QTextBrowser()
        self._text.openLinks = False
        if not self._sections:
            self._text.setPlainText(_("The page {name} is not installed.").format(name=PAGE))
        layout = qt.QVBoxLayout(self.window)
        layout.addWidget(self._list)
        layout.addWidget(self._text)
        self._list.connect("currentIndexChanged(int)", self._show)

    def _show(self, index: int) -> None:
        self._text.setMarkdown(self._sections[index].text)


class _HelpButton:
    """Opens one section when its button is clicked."""

    def __init__(self, button: Any, title: str, show: Callable[[str], None]) -> None:
        self._title, self._show = title, show
        button.toolTip = _("Explanation: {section}").format(section=title)
        button.accessibleName = button.toolTip
        button.connect("clicked(bool)", self._onClicked)

    def _onClicked(self, *_args: Any) -> None:
        self._show(self._title)
