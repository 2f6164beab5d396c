"""How a section ``[[sites]]`` names the images of several channels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Field, Tag

from fedcross.contract.request import MAX_CHANNELS
from fedcross.training.config.sections import Count

if TYPE_CHECKING:
    from fedcross.training.config.site import SiteConfig


def _kind_of_number(value: Any) -> str:
    return "one" if isinstance(value, str | int) else "several"


Several = Field(min_length=1, max_length=MAX_CHANNELS)
Places = Annotated[
    Annotated[str, Tag("one")] | Annotated[tuple[str, ...], Several, Tag("several")],
    Discriminator(_kind_of_number),
]
ChannelIndex = Annotated[
    Annotated[Count, Tag("one")] | Annotated[tuple[Count, ...], Several, Tag("several")],
    Discriminator(_kind_of_number),
]


def check_channels(site: "SiteConfig", names: Sequence[str]) -> None:
    """Check that a site gives an image for every channel of the configuration.

    Parameters
    ----------
    site
        The site.
    names
        Names of the channels.

    Raises
    ------
    ValueError
        If `images` or `channel` does not have one entry for each channel, or the site's data set has
        one channel only.
    """
    listed = f"{len(names)} ({', '.join(names)})"
    for key, given in (("images", site.image_places), ("channel", site.channels or ())):
        if len(given) > 1 and len(given) != len(names):
            raise ValueError(
                f"{key} of site {site.name} has {len(given)} entries, but the number of channels "
                f"in preprocessing.channels is {listed}"
            )
    if len(names) == 1:
        return
    if len(site.image_places) > 1 and site.channels is not None:
        raise ValueError(
            f"site {site.name} has a list of images and channel; give the list for 3D images, or "
            "channel for 4D images"
        )
    if not site.may_have_channels:
        raise ValueError(
            f"dataset {site.dataset!r} of site {site.name} has one channel, but "
            f"preprocessing.channels has {listed}; use images or list"
        )
    if site.channels is not None and len(site.channels) == 1:
        raise ValueError(
            f"channel of site {site.name} names one channel, but preprocessing.channels has "
            f"{listed}; write for example channel = {list(range(len(names)))}"
        )
    if len(site.image_places) == 1 and site.channels is None:
        raise ValueError(
            f"images of site {site.name} must have one entry for each of the channels "
            f"{', '.join(names)}; for 4D images write channel = {list(range(len(names)))}"
        )
