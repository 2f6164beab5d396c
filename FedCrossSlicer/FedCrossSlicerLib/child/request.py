"""One request to the child process: its options, its arguments, and how its caller follows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

VOLUME, RESULT, ROI = "volume.nrrd", "result", "roi.json"
"""Names in the temporary folder of a request: the exported volume, the result folder, the box."""


@dataclass(frozen=True)
class Options:
    """Options of a request; the values are those of the command line of ``python -m fedcross.infer``.

    Attributes
    ----------
    device
        ``"auto"``, ``"cpu"`` or a GPU such as ``"cuda:0"``.
    precision
        ``"auto"``, ``"fp32"``, ``"fp16"`` or ``"bf16"``.
    backend
        ``"auto"``, ``"torch"``, ``"tuned"`` or ``"openvino"``.
    measure
        Uncertainty measure of the heat map and of the hot spots, such as ``"std"``.
    localise
        Compute all members only near the structures that the first member finds. A request with a box
        ignores it.
    """

    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    measure: str = "std"
    localise: bool = False


class RunningRequest(Protocol):
    """A request that the child process is computing, as its caller sees it."""

    @property
    def running(self) -> bool:
        """Whether the result or the error is still to come."""

    @property
    def log(self) -> str:
        """The output of the child process that was not an event."""

    def events(self) -> list[dict[str, Any]]:
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
    folder: Path, bundle: Path, options: Options, image: Path | None = None
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
    """
    arguments = {
        "--bundle": str(bundle),
        "--image": str(image or folder / VOLUME),
        "--out": str(folder / RESULT),
        "--measure": options.measure,
        "--device": options.device,
        "--precision": options.precision,
        "--backend": options.backend,
    }
    if (folder / ROI).is_file():
        arguments["--roi"] = str(folder / ROI)
    pairs = [word for pair in arguments.items() for word in pair]
    return [*pairs, *(["--localise"] if options.localise else []), "--for-viewer", "--events"]
