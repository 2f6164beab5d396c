"""The section Input: volumes, box, bundle and device."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from fedcross.contract.devices import Devices
from fedcross.contract.plain_text import plain_text
from fedcross.contract.request import MAX_CHANNELS
from FedCrossSlicerLib.bundle import fit
from FedCrossSlicerLib.bundle.info import BundleInfo, readBundleInfo
from FedCrossSlicerLib.bundle.samples import BUNDLE
from FedCrossSlicerLib.child.request import Options
from FedCrossSlicerLib.display.colors import colorName
from FedCrossSlicerLib.errors import InferenceError
from FedCrossSlicerLib.scene.region import fitRegion
from FedCrossSlicerLib.scene.sequences import timePoints

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsROINode, vtkMRMLScalarVolumeNode

AMBER = "#b26a00"  # readable on white and on dark grey
SWATCH = "\u25a0"
LONGEST_LINE = 4000
"""Characters of a line of the model card that are shown."""


class InputSection:
    """The widgets for volumes, box, bundle, device and back-end.

    Parameters
    ----------
    ui
        The named widgets of the .ui file.
    onBundleChanged
        Called when the user has chosen another bundle.

    Attributes
    ----------
    card
        The window with the model card; None before it is first opened.
    """

    def __init__(self, ui: Any, onBundleChanged: Callable[[], None]) -> None:
        self.ui = ui
        self._onBundleChanged = onBundleChanged
        self._selectors = [
            (getattr(ui, f"channel{number}Label"), getattr(ui, f"channel{number}Selector"))
            for number in range(2, MAX_CHANNELS + 1)
        ]
        self._shown: tuple[str, BundleInfo | None] = (
            "",
            None,
        )  # path and description of the bundle
        self._gpus: list[str] = []
        self.card: Any = None
        ui.backendCombo.addItems([label for label, _backend, _precision in _backends()])
        self.showDevices(Devices(None, (), _("Looking for graphics cards...")))
        ui.roiSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onRegion)
        ui.folderButton.connect("clicked(bool)", self._browseFolder)
        ui.bundleEdit.connect("currentPathChanged(QString)", self._onPath)
        ui.bundleEdit.connect("validInputChanged(bool)", self._onPath)  # the line became empty
        ui.bundleInfo.connect("linkActivated(QString)", self._onLink)

    @property
    def path(self) -> str:
        """Path of the bundle; ``""`` if none is chosen."""
        return str(self.ui.bundleEdit.currentPath)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the bundle's channels; empty for one without a name, or without a bundle."""
        info, _error = self._readInfo()
        return tuple(name for name, _modality in info.channels) if info else ()

    @property
    def device(self) -> str:
        """Name of the chosen device on the command line of the child process."""
        index: int = max(self.ui.deviceCombo.currentIndex, 0)
        return ["auto", "cpu", *self._gpus][index]

    @property
    def options(self) -> Options:
        """The chosen options."""
        _label, backend, precision = _backends()[max(self.ui.backendCombo.currentIndex, 0)]
        return Options(device=self.device, backend=backend, precision=precision)

    def useCPU(self) -> None:
        """Choose the CPU as device."""
        self.ui.deviceCombo.currentIndex = 1

    def showDevices(self, devices: Devices) -> None:
        """List the devices; the chosen device stays chosen if it is still in the list."""
        chosen = self.device
        self._gpus = [gpu.device for gpu in devices.gpus]
        combo = self.ui.deviceCombo
        combo.clear()
        combo.addItems(
            [_("Automatic"), _("CPU"), *(f"{gpu.name} ({gpu.device})" for gpu in devices.gpus)]
        )
        names = ["auto", "cpu", *self._gpus]
        combo.currentIndex = names.index(chosen) if chosen in names else 0
        self.ui.deviceStatus.text = devices.status

    def refresh(self, volumes: Sequence[vtkMRMLScalarVolumeNode | None]) -> None:
        """Show the bundle's description, its channels, and why the volumes do not fit the bundle.

        Parameters
        ----------
        volumes
            The chosen volume of each channel; None if none is chosen.
        """
        volume = volumes[0]
        # The user may have created the box before choosing the volume.
        self._onRegion(self.ui.roiSelector.currentNode())
        info, error = self._readInfo()
        if info:
            self.ui.bundleInfo.text = descriptionText(info)
        elif self.path:
            self.ui.bundleInfo.text = html.escape(error)
        else:
            self.ui.bundleInfo.text = _('To try it: the <a href="sample">sample bundle</a>.')
        self._showChannels(self.channels)
        warnings = _warnings(volumes, info) if info else []
        self.ui.fitLabel.text = warningText(warnings)
        self.ui.fitLabel.visible = bool(warnings)
        self.ui.sequenceCheck.visible = volume is not None and timePoints(volume) is not None

    def openBundle(self, path: str) -> None:
        """Choose a bundle."""
        self.ui.bundleEdit.currentPath = path

    def _showChannels(self, names: Sequence[str]) -> None:
        """Show one selector for each channel, with its name; one without a name if `names` is empty."""
        self.ui.inputLabel.text = f"{names[0]}:" if names else _("Volume:")
        for index, (label, selector) in enumerate(self._selectors, start=1):
            label.text = f"{names[index]}:" if index < len(names) else ""
            label.visible = selector.visible = index < len(names)

    def _readInfo(self) -> tuple[BundleInfo | None, str]:
        """The bundle's description, or None and the error."""
        if not self.path:
            return None, ""
        if self._shown[0] != self.path or self._shown[1] is None:
            try:
                self._shown = (self.path, readBundleInfo(Path(self.path)))
            except InferenceError as error:
                self._shown = (self.path, None)
                return None, str(error)
        return self._shown[1], ""

    def _onPath(self, *_args: Any) -> None:
        self._shown = ("", None)
        self._onBundleChanged()

    def _browseFolder(self, *_args: Any) -> None:
        """Choose a bundle that is a folder; the path line's own button chooses files only."""
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Choose the bundle's folder"), self.path
        )
        if folder:
            self.ui.bundleEdit.currentPath = folder

    def _onRegion(self, roi: vtkMRMLMarkupsROINode | None) -> None:
        """Fit a box that was just created, and so has no size, around the volume."""
        volume = self.ui.inputSelector.currentNode()
        if roi is None or volume is None or slicer.mrmlScene.IsImporting():
            return
        if not any(roi.GetSize()) and fit.hasVoxels(volume):
            fitRegion(roi, volume)

    def _onLink(self, target: str) -> None:
        info = self._shown[1]
        if target == "sample":
            self.ui.bundleEdit.currentPath = str(BUNDLE)
        elif info is not None:
            self.card = _cardWindow(info)
            self.card.show()


def _warnings(volumes: Sequence[vtkMRMLScalarVolumeNode | None], info: BundleInfo) -> list[str]:
    if len(info.channels) > 1:
        return fit.channelWarnings(volumes, info)
    volume = volumes[0]
    return fit.warnings(volume, info) if volume is not None and fit.hasVoxels(volume) else []


def _cardWindow(info: BundleInfo) -> Any:
    """A window with the model card as plain text, because strangers wrote it.

    A rich text could name pictures, which Qt would load from the network.
    """
    window = qt.QDialog(slicer.util.mainWindow())
    window.windowTitle = _("Model card of {name}").format(name=info.name)
    window.resize(640, 720)
    text = qt.QPlainTextEdit()
    text.readOnly = True
    text.setPlainText("\n".join(plain_text(line, LONGEST_LINE) for line in info.card.splitlines()))
    qt.QVBoxLayout(window).addWidget(text)
    return window


def _backends() -> list[tuple[str, str, str]]:
    """Label in the panel, and back-end and precision on the command line of the child process."""
    return [
        (_("Automatic"), "auto", "auto"),
        (_("OpenVINO (processor)"), "openvino", "auto"),
        (_("OpenVINO, half precision"), "openvino", "bf16"),
        (_("PyTorch, tuned"), "tuned", "auto"),
        (_("PyTorch, the reference"), "torch", "fp32"),
    ]


def descriptionText(info: BundleInfo) -> str:
    """Return the description of a bundle as two lines of HTML; the bundle's texts are escaped."""
    structures = ", ".join(
        f'<span style="color:{colorName(color)}">{SWATCH}</span> {html.escape(name)}'
        for name, color in info.structures
    )
    facts = [_("{count} members").format(count=info.members)]
    modalities = dict.fromkeys(
        modality for _name, modality in info.channels or (("", info.modality),)
    )
    if any(modalities):
        facts.append(html.escape(", ".join(filter(None, modalities))))
    if info.sites:
        facts.append(_("trained at {sites}").format(sites=html.escape(", ".join(info.sites))))
    card = f' \u00b7 <a href="card">{_("model card")}</a>' if info.card else ""
    line = " \u00b7 ".join(facts)
    return f"<b>{html.escape(info.name)}</b>: {structures}<br>{line}{card}"


def warningText(warnings: Sequence[str]) -> str:
    """Return warnings as HTML, one line each."""
    lines = (f"\u26a0 {html.escape(warning)}" for warning in warnings)
    return f'<span style="color:{AMBER}">{"<br>".join(lines)}</span>'
