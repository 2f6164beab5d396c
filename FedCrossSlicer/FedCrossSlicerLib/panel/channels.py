"""The selectors of the volumes: one, or one for each channel of the bundle."""

from collections.abc import Sequence
from typing import Any

from slicer.i18n import tr as _

from fedcross.contract.request import MAX_CHANNELS


class ChannelSelectors:
    """The labels and selectors of the volumes in the section Input.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    """

    def __init__(self, ui: Any) -> None:
        self._first = ui.inputLabel
        self._further = [
            (getattr(ui, f"channel{number}Label"), getattr(ui, f"channel{number}Selector"))
            for number in range(2, MAX_CHANNELS + 1)
        ]

    def refresh(self, names: Sequence[str]) -> None:
        """Show one selector for each channel, with its name.

        Parameters
        ----------
        names
            Names of the channels; empty for one channel without a name.
        """
        self._first.text = f"{names[0]}:" if names else _("Volume:")
        for index, (label, selector) in enumerate(self._further, start=1):
            label.text = f"{names[index]}:" if index < len(names) else ""
            label.visible = selector.visible = index < len(names)
