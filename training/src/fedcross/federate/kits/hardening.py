"""Restricts what FLARE permits with a kit, and keeps the server's storage inside its kit.

By FLARE's defaults code sent with a job runs, the coordinator can list and read files, errors are
streamed to the server, and jobs are stored in the shared temporary folder. The functions here turn all
of that off.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedcross.federate.kits.roster import write_roster
from fedcross.federate.kits.site_settings import SITE_FILE
from fedcross.federate.kits.templates import site_settings_text
from fedcross.runtime.files.atomic import write_atomically

RESOURCES, AUTHORIZATION = "resources.json", "authorization.json"
STORAGE = "storage"  # folder in the server's kit
# Scripts that would start a kit without these restrictions, and instructions that do not apply.
REMOVED_FILES = (
    "startup/start.sh",
    "startup/sub_start.sh",
    "startup/stop_fl.sh",
    "startup/fl_admin.sh",
    "startup/readme.txt",
    "startup/system_info.ipynb",
    "local/privacy.json.sample",
    "readme.txt",
)
# The only classes that a job can name. All of them are installed at every site beforehand.
ALLOWED_CLASSES = (
    "fedcross.federate.",
    "nvflare.collab.runtime.controller.CollabController",
    "nvflare.collab.runtime.executor.CollabExecutor",
)
LOG_STREAMS = ("site_log_streamer", "log_receiver")
# The registration of a killed site stays for a while beside its new one; sites can be added later.
SPARE_CLIENTS = 50

# Rights of the coordinators, FLARE's "project_admin"; there are no other users.
ALWAYS_FORBIDDEN = {"byoc": "none", "shell_commands": "none", "clone_job": "none"}
RIGHTS_AT_SERVER = {
    "submit_job": "any",
    "manage_job": "any",
    "download_job": "any",
    "view": "any",
    "operate": "any",
    "app_command": "any",
    **ALWAYS_FORBIDDEN,
}
RIGHTS_AT_SITE = {
    "submit_job": "any",
    "manage_job": "any",
    "view": "any",
    "operate": "none",
    **ALWAYS_FORBIDDEN,
}


def configure_admin_kit(kit: Path, sites: Sequence[str]) -> None:
    """Write the names of all sites; remove the files that the coordinator's kit must not have."""
    remove_files(kit)
    write_roster(kit, sites)


def configure_server_kit(kit: Path, *, sites: int) -> None:
    """Restrict a server's kit and set its storage paths; `sites` is the number of sites."""
    resources = _take_default_resources(kit)
    resources["servers"][0]["max_num_clients"] = 2 * sites + SPARE_CLIENTS
    _write_restrictions(kit, resources, RIGHTS_AT_SERVER)
    _write_storage_paths(kit, Path(STORAGE))


def set_listen_port(kit: Path, host: str, port: int) -> None:
    """Let the server of a kit listen at a TCP port, which may differ from the one in the other kits."""
    path = kit / "startup" / "fed_server.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    (server,) = settings["servers"]
    if server["admin_port"] != port:
        server["service"]["target"] = f"{host}:{port}"
        server["admin_port"] = port
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def configure_site_kit(kit: Path, name: str, sites: Sequence[str]) -> None:
    """Restrict the kit of the site `name` and write the template of its settings.

    `sites` are the names of all sites; the template lists those that receive this site's models.
    """
    resources = _take_default_resources(kit)
    resources["allow_log_streaming"] = False
    _write_restrictions(kit, resources, RIGHTS_AT_SITE)
    (kit / "local" / SITE_FILE).write_text(site_settings_text(name, sites), encoding="utf-8")


def set_storage_paths(kit: Path) -> None:
    """Set the folders of jobs and snapshots to absolute paths in the server's kit.

    Call it on the server's machine, at every start: until then the paths are relative to the kit.
    """
    _write_storage_paths(kit, (kit / STORAGE).absolute())


def _write_storage_paths(kit: Path, storage: Path) -> None:
    path = kit / "local" / RESOURCES
    resources = json.loads(path.read_text(encoding="utf-8"))
    persistor = resources["snapshot_persistor"]["args"]["storage"]["args"]
    persistor["root_dir"] = str(storage / "snapshots")
    for component in resources["components"]:
        if component["id"] == "job_manager":
            component["args"]["uri_root"] = str(storage / "jobs")
    data = json.dumps(resources, indent=2).encode("utf-8") + b"\n"
    write_atomically(path, data, durable=True)


def restrict_to_owner(folder: Path) -> None:
    """Make everything inside a folder readable and writable for its owner only."""
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)


def _take_default_resources(kit: Path) -> dict[str, Any]:
    """Read FLARE's default resources and remove their file."""
    default = kit / "local" / f"{RESOURCES}.default"
    resources: dict[str, Any] = json.loads(default.read_text(encoding="utf-8"))
    default.unlink()
    return resources


def _write_restrictions(kit: Path, resources: dict[str, Any], rights: dict[str, str]) -> None:
    """Write resources without log streaming and with the class list, and the rights."""
    resources["class_allow_list"] = list(ALLOWED_CLASSES)
    resources["components"] = [
        component for component in resources["components"] if component["id"] not in LOG_STREAMS
    ]
    authorization = {"format_version": "1.0", "permissions": {"project_admin": rights}}
    local = kit / "local"
    (local / f"{AUTHORIZATION}.default").unlink()
    for name, content in ((RESOURCES, resources), (AUTHORIZATION, authorization)):
        (local / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    remove_files(kit)


def remove_files(kit: Path) -> None:
    """Remove FLARE's scripts, which would start a kit without these restrictions."""
    for name in REMOVED_FILES:
        (kit / name).unlink(missing_ok=True)
