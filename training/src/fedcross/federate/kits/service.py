"""The files of a kit that let its process start with the machine: a systemd unit, a file for containers.

They and a README are in the folder ``startup``, so that ``init``, ``add`` and ``renew`` hand them over
with the certificate. Both have placeholders for what only the owner's machine knows.
"""

from pathlib import Path

from fedcross.federate.kits.container import COMPOSE, compose_text, container_text

SERVICE, README = "fedcross.service", "README.txt"


def service_text(name: str, federation: str) -> str:
    """The systemd unit for the kit of the participant `name`.

    ``@KIT@``, ``@FEDCROSS@`` and ``@USER@`` stand for the kit's folder, the program and the user.
    """
    return f"""# {README} in this folder says how to install this unit.

[Unit]
Description=FedCross: {name} of the federation {federation}
Wants=network-online.target
After=network-online.target

[Service]
User=@USER@
WorkingDirectory=@KIT@
ExecStart="@FEDCROSS@" federation start "@KIT@"
# The program ends its jobs on SIGTERM; its exit code is then 130.
KillMode=mixed
TimeoutStopSec=60
SuccessExitStatus=130
# A folder that is not mounted yet, or a port that is in use, may be there a minute later.
Restart=on-failure
RestartSec=60
UMask=0077
NoNewPrivileges=yes
ProtectSystem=full

[Install]
WantedBy=multi-user.target
"""


def install_text(name: str, federation: str, port: int | None) -> str:
    """The README about both files, for the kit of the participant `name`; a hospital has no `port`."""
    title = f"Start {name} of the federation {federation} with the machine"
    return f"""{title}
{"=" * len(title)}

Be the user who shall run it, enter this folder, and have fedcross on the PATH (which fedcross). Then:

sed -e "s|@KIT@|$(dirname "$PWD")|g" -e "s|@USER@|$(id -un)|" \\
    -e "s|@FEDCROSS@|$(which fedcross)|" {SERVICE} > installed.service
sudo cp installed.service /etc/systemd/system/{SERVICE}
sudo systemctl daemon-reload && sudo systemctl enable --now {SERVICE}

The sentences of the program are in the journal: journalctl -u {SERVICE}. All that FLARE prints is in
console.log of the kit, at most three files of 20 MB.
{container_text(reads_cases=port is None)}"""


def write_service(startup: Path, name: str, federation: str, port: int | None = None) -> None:
    """Write the unit, the file for containers and their README into the folder ``startup`` of a kit.

    Parameters
    ----------
    startup
        The folder.
    name
        ``server``, or a hospital's name.
    federation
        Name of the federation.
    port
        TCP port that the server opens; None for a hospital.
    """
    for file, text in (
        (SERVICE, service_text(name, federation)),
        (COMPOSE, compose_text(name, federation, port)),
        (README, install_text(name, federation, port)),
    ):
        (startup / file).write_text(text, encoding="utf-8")
