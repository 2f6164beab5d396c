"""What a kit lets happen: FLARE's defaults tightened, its storage brought into the kit itself.

A kit leaves FLARE's provisioning with defaults that suit experiments: code sent with a job runs, the
coordinator can list and read files, errors are streamed to the server, jobs lie in the shared temporary
folder. Here none of that is left.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedcross.federate.kits.site_settings import SITE_FILE
from fedcross.federate.kits.text import site_settings
from fedcross.runtime.files.atomic import write_atomically

RESOURCES, AUTHORIZATION = "resources.json", "authorization.json"
STORAGE = "storage"  # in the server's kit; absolute in resources.json once the kit has been started
NOT_NEEDED = (
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
CLASSES = (
    "fedcross.federate.",
    "nvflare.collab.runtime.controller.CollabController",
    "nvflare.collab.runtime.executor.CollabExecutor",
)
LOG_STREAMS = ("site_log_streamer", "log_receiver")
SPARE_CLIENTS = 8  # a killed site's old registration stays for a while beside its new one

NOBODY = {"byoc": "none", "shell_commands": "none", "clone_job": "none"}
AT_THE_SERVER = {
    "submit_job": "any",
    "manage_job": "any",
    "download_job": "any",
    "view": "any",
    "operate": "any",
    "app_command": "any",
    **NOBODY,
}
AT_A_SITE = {"submit_job": "any", "manage_job": "any", "view": "any", "operate": "none", **NOBODY}


def policy(rights: dict[str, str]) -> dict[str, Any]:
    """FLARE's authorization policy; the coordinator is the only person there is."""
    return {"format_version": "1.0", "permissions": {"project_admin": rights}}


def settle_admin(kit: Path) -> None:
    """Finish the coordinator's kit."""
    _tidy(kit)


def settle_server(kit: Path, *, clients: int) -> None:
    """Finish the server's kit."""
    resources = _resources(kit)
    resources["servers"][0]["max_num_clients"] = 2 * clients + SPARE_CLIENTS
    _settle(kit, resources, AT_THE_SERVER)
    place_storage(kit)


def settle_site(kit: Path, name: str, sites: Sequence[str]) -> None:
    """Finish a hospital's kit."""
    resources = _resources(kit)
    resources["allow_log_streaming"] = False
    _settle(kit, resources, AT_A_SITE)
    (kit / "local" / SITE_FILE).write_text(site_settings(name, sites), encoding="utf-8")


def place_storage(kit: Path) -> None:
    """Let FLARE keep jobs and snapshots in the server's kit, wherever the kit lies now."""
    path = kit / "local" / RESOURCES
    resources = json.loads(path.read_text(encoding="utf-8"))
    storage = (kit / STORAGE).absolute()
    persistor = resources["snapshot_persistor"]["args"]["storage"]["args"]
    persistor["root_dir"] = str(storage / "snapshots")
    for component in resources["components"]:
        if component["id"] == "job_manager":
            component["args"]["uri_root"] = str(storage / "jobs")
    data = json.dumps(resources, indent=2).encode("utf-8") + b"\n"
    write_atomically(path, data, durable=True)


def close_to_others(folder: Path) -> None:
    """Let nobody but the owner read what lies in a folder."""
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)


def _resources(kit: Path) -> dict[str, Any]:
    default = kit / "local" / f"{RESOURCES}.default"
    resources: dict[str, Any] = json.loads(default.read_text(encoding="utf-8"))
    default.unlink()
    return resources


def _settle(kit: Path, resources: dict[str, Any], rights: dict[str, str]) -> None:
    resources["class_allow_list"] = list(CLASSES)
    resources["components"] = [
        component for component in resources["components"] if component["id"] not in LOG_STREAMS
    ]
    local = kit / "local"
    (local / f"{AUTHORIZATION}.default").unlink()
    for name, content in ((RESOURCES, resources), (AUTHORIZATION, policy(rights))):
        (local / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    _tidy(kit)


def _tidy(kit: Path) -> None:
    """Remove scripts that would start a kit without our settings, and advice that does not fit."""
    for name in NOT_NEEDED:
        (kit / name).unlink(missing_ok=True)
