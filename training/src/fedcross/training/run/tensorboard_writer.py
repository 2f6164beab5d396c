"""Write a run for TensorBoard: losses, validation, and pictures of one case per site."""

import importlib.util
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import ConfigError
from fedcross.training.data.volumes import Volume
from fedcross.training.run.folder import RunFolder

FOLDER = "tensorboard"
SHOWN_DEVIATIONS = 2.5  # z-scores from -2.5 (black) to 2.5 (white) are shown


class TensorBoardWriter(AbstractContextManager["TensorBoardWriter"]):
    """Writes TensorBoard's files into the folder ``tensorboard`` of a run, inside a context.

    Parameters
    ----------
    run
        Run folder; its metrics are written as scalars over the number of the round.

    Raises
    ------
    ConfigError
        If TensorBoard is not installed.
    """

    def __init__(self, run: RunFolder) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise ConfigError(
                "--tensorboard needs TensorBoard, which is not installed.",
                "Install it: pip install 'fedcross[tensorboard]'",
            )
        from torch.utils.tensorboard import SummaryWriter

        self._run = run
        self._round = 0
        self._shown: set[tuple[int, str]] = set()
        self._writer = SummaryWriter(str(run.path / FOLDER))
        run.listeners.append(self.write_metrics)

    def __exit__(self, *exception: object) -> None:
        self._run.listeners.remove(self.write_metrics)
        self._writer.close()

    def show(self, site: str, volume: Volume, each: list[NDArray[np.float32]]) -> None:
        """Write a picture of a case, see `picture`; only the first call per round and site does so.

        Parameters
        ----------
        site
            Name of the site.
        volume
            The case.
        each
            The probabilities of each member, (C, D, H, W) float32.
        """
        if (self._round, site) in self._shown:
            return
        self._shown.add((self._round, site))
        shown = picture(volume, each)
        self._writer.add_image(f"cases/{site}", shown, self._round, dataformats="HW")

    def write_metrics(self, figures: dict[str, Any]) -> None:
        """Write one line of the metrics; the run calls this for every line that it adds."""
        self._round = figures["round"]
        scalars = {}
        if "validation" in figures:
            scalars = {f"validation/{name}": v for name, v in figures["validation"].items()}
        elif figures.get("loss") is not None:
            scalars = {f"loss/member {figures['member']}": figures["loss"]}
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, figures["round"])
        self._writer.flush()


def picture(volume: Volume, each: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Make four pictures of the slice with the most labelled voxels, side by side.

    They show the first channel, the label map, the mean foreground probability, and twice the members'
    standard deviation of the foreground probability.

    Parameters
    ----------
    volume
        The case.
    each
        The probabilities of each member, (C, D, H, W) float32.

    Returns
    -------
    ndarray
        (H, 4 W) float32 from 0 to 1.
    """
    label = volume.label.cpu().numpy()
    place = int((label > 0).sum(axis=(1, 2)).argmax())
    foreground = np.stack([1 - probabilities[0, place] for probabilities in each])
    image = volume.image[0, place].cpu().numpy()
    slices = (
        0.5 + image / (2 * SHOWN_DEVIATIONS),
        label[place] / max(int(label.max()), 1),
        foreground.mean(axis=0),
        2 * foreground.std(axis=0),
    )
    row: NDArray[np.float32] = np.concatenate(slices, axis=1, dtype=np.float32)
    return row.clip(0, 1)
