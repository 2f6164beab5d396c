"""What comes with a federation's kits in words: who gets which, and a hospital's own settings."""

from collections.abc import Sequence


def handing_out(name: str, server: str, port: int, sites: Sequence[str]) -> str:
    """The README of the folder with all kits."""
    hospitals = "\n".join(f"  sites/{site:<20} to the hospital {site}" for site in sites)
    title = f"The startup kits of the federation {name}"
    return f"""{title}
{"=" * len(title)}

Each folder holds a private key: whoever has it is that participant. Give each folder to its owner only,
and over a way that you would trust with a password: in person on an encrypted disk, or as an encrypted
archive (7-Zip with AES-256) whose password goes another way, such as the telephone. Not by mail.

  server/                    to whoever runs the server {server}
{hospitals}
  admin/                     stays with you, the coordinator
  authority/                 stays with you and leaves this machine never: it can make new kits
  project.yml                stays with you: who takes part

The server listens on TCP port {port}; it must be reachable there from every hospital and from you.
Hospitals open no port. Everything is encrypted, and both sides prove who they are (mutual TLS).

At the server:     fedcross federation start server
At each hospital:  edit local/site.toml, then
                   fedcross site check KIT --config CONFIG
                   fedcross federation start KIT
You:               fedcross federation submit CONFIG --kit admin --out RUN
"""


def site_settings(name: str, sites: Sequence[str]) -> str:
    """The settings of one hospital, to be edited there."""
    others = [site for site in sites if site != name]
    receivers = ", ".join(others) or "nobody"
    return f"""# The hospital {name} decides this; the file is read here and sent nowhere.

# Folder with this hospital's cases. The paths of the federation's configuration are relative to it.
data = "/path/to/the/data"

# Figures that may leave: the mean training loss of a visit, the members' Dice on the validation and test
# cases, the number of cases. An empty list shares none. Models leave in any case: the server receives
# them and gives them to the other hospitals ({receivers}).
share = ["loss", "validation", "cases"]

# auto takes a GPU if there is one; or cpu, cuda:0, cuda:1 ...
device = "auto"

# Folder that keeps preprocessed cases for later runs.
# cache = "/path/to/a/cache"

# SHA-256 of the only training configuration that this hospital agrees to; "fedcross site check KIT
# --config CONFIG" says it. Left out, whatever the coordinator submits is trained.
# configuration = "..."
"""
