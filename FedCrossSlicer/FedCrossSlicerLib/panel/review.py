"""The section Review: the hot spots, the most uncertain first."""

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from FedCrossSlicerLib.panel.widgets.tables import TextTable
from FedCrossSlicerLib.scene.hotspots import HotSpot, State
from FedCrossSlicerLib.scene.nodes import ResultNodes
from FedCrossSlicerLib.scene.review import Review

NEXT, PREVIOUS, REVIEWED = "Alt+Down", "Alt+Up", "Alt+Return"
SIGNS = {State.OPEN: "\u25cb", State.REVIEWED: "\u2714", State.CORRECTED: "\u270e"}


class ReviewSection:
    """The table of hot spots, with buttons and keys to go through it.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    root
        Widget that owns the keyboard shortcuts if there is no main window.
    """

    def __init__(self, ui: Any, root: Any) -> None:
        self.ui = ui
        self._review: Review | None = None
        titles = [_("Structure"), _("#"), _("mL"), _("Peak"), _("State")]
        self._table = TextTable(ui.spotsTable, titles)
        ui.spotsTable.connect("cellClicked(int,int)", self._onRow)
        for button, slot in (
            (ui.previousButton, self._previous),
            (ui.nextButton, self._next),
            (ui.reviewedButton, self._reviewed),
            (ui.correctedButton, self._corrected),
            (ui.editButton, self._edit),
        ):
            button.connect("clicked(bool)", slot)
        ui.previousButton.toolTip = _("Go to the previous hot spot ({key}).").format(key=PREVIOUS)
        ui.nextButton.toolTip = _("Go to the next hot spot ({key}).").format(key=NEXT)
        ui.reviewedButton.toolTip = _(
            "Mark this hot spot as reviewed and go to the next open one ({key})."
        ).format(key=REVIEWED)
        self._owner = slicer.util.mainWindow() or root
        self._slots = {NEXT: self._next, PREVIOUS: self._previous, REVIEWED: self._reviewed}
        self._shortcuts: dict[str, Any] = {}

    def enableShortcuts(self, enabled: bool) -> None:
        """Enable or disable the keys; they work only while the panel is open."""
        if enabled and not self._shortcuts:
            self._shortcuts = {
                key: _shortcut(self._owner, key, slot) for key, slot in self._slots.items()
            }
        for shortcut in self._shortcuts.values():
            shortcut.enabled = enabled

    def release(self) -> None:
        """Disconnect the timer, and delete the keys: their owner, the main window, stays."""
        self._table.release()
        for key, shortcut in self._shortcuts.items():
            shortcut.disconnect("activated()", self._slots[key])
            shortcut.deleteLater()
        self._shortcuts = {}

    def refresh(self, nodes: ResultNodes | None) -> None:
        """Show the hot spots of a result; an empty table for None."""
        self._review = Review(nodes) if nodes is not None else None
        spots = self._review.spots if self._review else []
        self._table.fill([_row(spot) for spot in spots])
        for button in ("previous", "next", "reviewed", "corrected", "edit"):
            getattr(self.ui, f"{button}Button").enabled = bool(spots)
        self.ui.spotsTable.visible = bool(spots)
        self._showProgress()

    @property
    def _reviewable(self) -> Review | None:
        """The review; None without hot spots, for instance if the user has deleted their table."""
        return self._review if self._review is not None and self._review.spots else None

    def _showProgress(self) -> None:
        review = self._review
        if review is None:
            self.ui.reviewLabel.text = _("Segment a volume first.")
            return
        done, total = review.progress
        if total == 0 and not review.isListed:
            self.ui.reviewLabel.text = _("The list of hot spots is no longer in the scene.")
            return
        if total == 0:
            self.ui.reviewLabel.text = _("There is no hot spot: the members agree everywhere.")
            return
        self.ui.reviewLabel.text = _("{done} of {total} reviewed").format(done=done, total=total)
        if review.current is not None and review.current < total:
            self.ui.spotsTable.selectRow(review.current)

    def _onRow(self, row: int, _column: int) -> None:
        if self._reviewable:
            self._reviewable.go(row)
        self._showProgress()

    def _next(self, *_args: Any) -> None:
        if self._reviewable:
            self._reviewable.next()
        self._showProgress()

    def _previous(self, *_args: Any) -> None:
        if self._reviewable:
            self._reviewable.previous()
        self._showProgress()

    def _reviewed(self, *_args: Any) -> None:
        self._mark(State.REVIEWED)

    def _corrected(self, *_args: Any) -> None:
        self._mark(State.CORRECTED)

    def _mark(self, state: State) -> None:
        """Store the state of the current hot spot and go to the next open one."""
        review = self._reviewable
        if review is None or review.current is None:
            return
        current = review.current
        review.mark(current, state)
        spots = review.spots
        self.ui.spotsTable.setItem(current, 4, qt.QTableWidgetItem(_stateText(spots[current])))
        following = [(current + step) % len(spots) for step in range(1, len(spots))]
        nextOpen = next((index for index in following if spots[index].state is State.OPEN), None)
        if nextOpen is not None:
            review.go(nextOpen)
        self._showProgress()

    def _edit(self, *_args: Any) -> None:
        if self._reviewable:
            self._reviewable.editHere(self._reviewable.current or 0)


def _row(spot: HotSpot) -> list[str]:
    return [
        spot.structure,
        str(spot.rank),
        f"{spot.volume:.2f}",
        f"{spot.peak:.2f}",
        _stateText(spot),
    ]


def _stateText(spot: HotSpot) -> str:
    return f"{SIGNS[spot.state]} {spot.state.label()}"


def _shortcut(owner: Any, key: str, slot: Any) -> Any:
    shortcut = qt.QShortcut(owner)
    shortcut.setKey(qt.QKeySequence(key))
    shortcut.connect("activated()", slot)
    return shortcut
