"""Which channels of a data set's images are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedcross.errors import DataError


@dataclass(frozen=True)
class ChannelFiles:
    """The files of one further channel of a data set.

    Attributes
    ----------
    name
        Name of the channel, for error messages.
    files
        Case's name to its file or DICOM folder. A file that the data set lists may be absent.
    index
        Index from 0 of the channel in 4D images; None if the images are 3D.
    """

    name: str
    files: Mapping[str, Path] = field(default_factory=dict)
    index: int | None = None


@dataclass(frozen=True)
class ChannelChoice:
    """The channels that a configuration wants of a data set.

    Attributes
    ----------
    names
        Names of the configuration's channels, in their order.
    indices
        Index from 0 of each of them in the data set, as the site's `channel` gives them; None if it does
        not.
    """

    names: tuple[str, ...] = ("image",)
    indices: tuple[int, ...] | None = None

    def choose(self, root: Path, offered: Any) -> tuple[int, ...]:
        """Return the index of each wanted channel in the data set.

        Without `indices` the channels are chosen by their names, ignoring upper and lower case. If
        the names differ, all channels are taken in their order, if their number is the wanted one.

        Parameters
        ----------
        root
            Folder of the data set, for error messages.
        offered
            Index of every channel of the data set, as text, to its name; from ``dataset.json``. Empty or
            None is one channel.

        Raises
        ------
        DataError
            If an index is not one of the channels, or the channels cannot be chosen.
        """
        names = _by_index(root, offered)
        if self.indices is not None:
            chosen = self.indices
        else:
            index_of = {name.casefold(): index for index, name in names.items()}
            wanted = [name.casefold() for name in self.names]
            is_named = all(name in index_of for name in wanted)
            chosen = tuple(index_of[name] for name in wanted) if is_named else tuple(sorted(names))
        if len(chosen) == len(self.names) and all(index in names for index in chosen):
            return chosen
        listed = ", ".join(f"{index} ({name})" for index, name in names.items())
        given = None if self.indices is None else list(self.indices)
        if len(self.names) == 1:
            shown = given if given is None else given[0]
            raise DataError(
                f"The images of {root.name} have the channels {listed}, got channel = {shown}.",
                "Set the site's channel to one of them.",
            )
        raise DataError(
            f"The images of {root.name} have the channels {listed}, but the configuration has "
            f"{', '.join(self.names)}; got channel = {given}.",
            "Set the site's channel to a list with one index for each.",
        )


def _by_index(root: Path, offered: Any) -> dict[int, str]:
    try:
        return {int(key): str(name) for key, name in dict(offered or {"0": "image"}).items()}
    except (TypeError, ValueError) as error:
        raise DataError(
            f"dataset.json of {root.name} does not number its channels from 0, got {offered!r}.",
            'Write for example "channel_names": {"0": "T2", "1": "ADC"}.',
        ) from error
