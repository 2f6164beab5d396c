"""One request to the child process: its options, its arguments, and how its caller follows it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from fedcross.contract.events import Event
from fedcross.contract.request import EVENTS_FLAG, RequestOptions, SegmentRequest

VOLUME, RESULT, ROI = "volume.nrrd", "result", "roi.json"
"""Names in the temporary folder of a request: the exported volume, the result folder, the box."""
CHANNEL = "channel_{number}.nrrd"
"""Name of the exported volume of a further channel there; the number is from 2."""

Options = RequestOptions
"""How to segment. `requestArguments` sets `for_viewer` always, and `roi` if the folder holds a box.
`SegmentationLogic.start` sets `for_dicom` for a volume from DICOM."""


class RunningRequest(Protocol):
    """A request that the child process is computing, as its caller sees it."""

    @property
    def running(self) -> bool:
        """Whether the result or the error is still to come."""

    @property
    def log(self) -> str:
        """The output of the child process that was not an event."""

    def events(self) -> list[Event]:
        """Return the events that arrived since the last call, oldest first, without waiting."""

    def cancel(self) -> None:
        """Kill the child process and the processes that it started."""

    def check(self) -> None:
        """Raise the error of a request that ended without a result.

        Raises
        ------
        InferenceError
            If the request failed or was cancelled.
        """


Starter = Callable[[Sequence[str]], RunningRequest]
"""Sends the arguments of a request to a child process; tests replace it."""


def requestArguments(
    folder: Path,
    bundle: Path,
    options: Options,
    image: Path | None = None,
    further: Sequence[Path] = (),
) -> list[str]:
    """Return the arguments of a request, as on the command line of the child process.

    Parameters
    ----------
    folder
        The child process writes the result folder `RESULT` here. If the folder holds a file `ROI`, only
        the box in it is segmented.
    bundle
        The bundle's folder or ``.zip``.
    options
        How to segment.
    image
        File of the volume; None for `VOLUME` in `folder`.
    further
        Files of the volumes of the further channels.
    """
    box = folder / ROI if (folder / ROI).is_file() else options.roi
    options = replace(options, roi=box and box.absolute(), for_viewer=True)
    request = SegmentRequest(
        bundle=bundle,
        image=image or folder / VOLUME,
        out=folder / RESULT,
        further=tuple(further),
        **vars(options),
    )
    return [*request.words(), EVENTS_FLAG]
