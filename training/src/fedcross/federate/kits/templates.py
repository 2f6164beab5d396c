"""Texts in a federation's kits: the README for the coordinator, the settings file of a site."""

from collections.abc import Sequence
from datetime import datetime


def readme_text(
    name: str,
    server: str,
    port: int,
    sites: Sequence[str],
    coordinators: Sequence[str],
    valid_until: datetime,
) -> str:
    """The README of the folder with all kits of the federation `name`."""
    rows = [f"  sites/{site:<20} to the hospital {site}" for site in sites]
    rows += [f"  coordinators/{each:<13} to the coordinator {each}" for each in coordinators]
    receivers = "\n".join(rows)
    title = f"The startup kits of the federation {name}"
    return f"""{title}
{"=" * len(title)}

Each folder holds a private key. Whoever has the folder can act as that participant. Give each folder to
its owner only, and in a way that you would trust with a password: in person on an encrypted disk, or as
an encrypted archive (7-Zip with AES-256). Give the archive's password in another way, such as by
telephone. Do not send a kit by e-mail. The folder of a hospital that made its key itself holds no
private key; the hospital joins both with: fedcross site accept KIT --key FILE

  server/                    to the person who runs the server {server}
{receivers}
  admin/                     stays with you, the coordinator
  authority/                 stays with you and never leaves this machine: it can make new kits
  project.yml                stays with you: the list of participants

The server listens on TCP port {port}. Every hospital and you must be able to reach that port. Hospitals
open no port. All traffic is encrypted, and both sides check each other's certificate (mutual TLS).

All kits are valid until {valid_until:%d %B %Y}. The commands tell it from 60 days before.

At the server:     fedcross federation start server
At each hospital:  edit local/site.toml, then
                   fedcross site check KIT --config CONFIG
                   fedcross federation start KIT
Start with the machine: startup/README.txt in the kits of the server and the hospitals
You:               fedcross federation submit CONFIG --kit admin --out RUN
One hospital more: fedcross federation add KITS NAME
New certificate:   fedcross federation renew KITS NAME     (KITS is this folder)
                   (with --request FILE if the hospital makes its key itself: fedcross site request)
One coordinator more: fedcross federation add KITS NAME --coordinator
"""


def site_settings_text(name: str, sites: Sequence[str]) -> str:
    """The settings file of the site `name`, to be edited there; `sites` are the names of all sites."""
    others = [site for site in sites if site != name]
    receivers = ", ".join(others) or "nobody"
    return f"""# Settings of the hospital {name}. The file is read here only and sent nowhere.

# Folder with this hospital's cases. The paths of the federation's configuration are relative to it.
data = "/path/to/the/data"

# Figures that this hospital shares: "loss" is the mean training loss of a visit and its number of
# skipped steps, "validation" the Dice of the members on validation and test cases, "cases" the number of
# cases. "data" is for a plan of the training: the size, the voxel spacing and the percentiles of the
# intensities of every training and validation case, without names; the server combines them.
# "calibration" is for the calibration of a bundle: counts and sums over the labelled cases, if there are
# five or more. "profile" is for the profile of a bundle: means and covariances of the properties of the
# cases, if there are five or more. An empty list shares none.
# Models are always shared: the server receives them and gives them to the other hospitals ({receivers}).
share = ["loss", "validation", "cases", "data", "calibration", "profile"]

# auto uses a GPU if there is one; or cpu, cuda:0, cuda:1 ...
device = "auto"

# Folder that keeps preprocessed cases for later runs.
# cache = "/path/to/a/cache"

# Installed packages whose code a training may use here, for a network, loss, augmentation or optimiser.
# plugins = ["package"]

# SHA-256 of the only training configuration that this hospital agrees to; "fedcross site check KIT
# --config CONFIG" prints it. Without this line the hospital accepts every submitted configuration.
# configuration = "..."

# true: this hospital does nothing for a configuration before somebody here has approved it.
# "fedcross site approvals KIT" shows what waits, "fedcross site approve KIT SHA256" approves it.
requires_approval = false
"""
