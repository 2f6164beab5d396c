"""A run in TensorBoard: losses, validation, and what the members see of a case of every site."""

import importlib.util
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcross.errors import ConfigError
from fedcross.train.data.volumes import Volume
from fedcross.train.run.folder import RunFolder

FOLDER = "tensorboard"
SHOWN_DEVIATIONS = 2.5  # from black to white, of the z-scores


class Board(AbstractContextManager["Board"]):
    """Writes for TensorBoard, in the run's folder ``tensorboard``.

    Parameters
    ----------
    run
        Its metrics become scalars; the horizontal axis counts rounds.

    Raises
    ------
    ConfigError
        If TensorBoard is not installed.
    """

    def __init__(self, run: RunFolder) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise ConfigError(
                "--tensorboard needs TensorBoard, which is not installed.",
                "pip install 'fedcross[tensorboard]'",
            )
        from torch.utils.tensorboard import SummaryWriter

        self._run = run
        self._round = 0
        self._shown: set[tuple[int, str]] = set()
        self._writer = SummaryWriter(str(run.path / FOLDER))
        run.listeners.append(self._hear)

    def __exit__(self, *exception: object) -> None:
        self._run.listeners.remove(self._hear)
        self._writer.close()

    def show(self, site: str, volume: Volume, each: list[NDArray[np.float32]]) -> None:
        """Show the first case of a site in this round: image, truth, mean and spread.

        Parameters
        ----------
        site
            Its name.
        volume
            The case.
        each
            The members' probabilities, (C, D, H, W) float32 each.
        """
        if (self._round, site) in self._shown:
            return
        self._shown.add((self._round, site))
        shown = picture(volume, each)
        self._writer.add_image(f"cases/{site}", shown, self._round, dataformats="HW")

    def _hear(self, figures: dict[str, Any]) -> None:
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
    """Four slices side by side, (H, 4 W) from 0 to 1, through where most is labelled.

    Image, truth, mean foreground probability, and the members' spread of it, twice as bright.
    """
    label = volume.label.cpu().numpy()
    place = int((label > 0).sum(axis=(1, 2)).argmax())
    foreground = np.stack([1 - probabilities[0, place] for probabilities in each])
    image = volume.image[place].cpu().numpy()
    slices = (
        0.5 + image / (2 * SHOWN_DEVIATIONS),
        label[place] / max(int(label.max()), 1),
        foreground.mean(axis=0),
        2 * foreground.std(axis=0),
    )
    row: NDArray[np.float32] = np.concatenate(slices, axis=1, dtype=np.float32)
    return row.clip(0, 1)
