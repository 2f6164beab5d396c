"""The file of a kit that runs its process in a container, for Docker Compose.

As the systemd unit, it is in the folder ``startup`` and has placeholders for what only the owner's
machine knows. The image is made from ``training/containers`` with the extra ``federate``.
"""

COMPOSE, IMAGE = "compose.yaml", "fedcross:federate"
DATA = """\
      - "@DATA@:@DATA@:ro"
      # A cache in local/site.toml needs a line of its own here.
"""
GPU = """\
    # Without a GPU, remove the lines from here to the end of this service.
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: all
              capabilities: [gpu]
"""


def compose_text(name: str, federation: str, port: int | None) -> str:
    """The Compose file for the kit of the participant `name`.

    ``@KIT@`` stands for the kit's folder, ``@UID@`` and ``@GID@`` for the user and the group, and
    ``@DATA@`` for the folder of a hospital's cases. All folders have the same path in the container as
    outside.

    Parameters
    ----------
    name
        ``server``, or a hospital's name.
    federation
        Name of the federation.
    port
        TCP port that the server opens; None for a hospital, which opens none, reads cases and uses GPUs.
    """
    special = DATA + GPU if port is None else f'    ports:\n      - "{port}:{port}"\n'
    return f"""# README.txt in this folder says how to fill in and start this file.
# {name} of the federation {federation}

services:
  fedcross:
    image: {IMAGE}
    command: ["federation", "start", "@KIT@"]
    user: "@UID@:@GID@"
    init: true
    restart: unless-stopped
    stop_grace_period: 60s
    read_only: true
    tmpfs: ["/tmp"]
    cap_drop: ["ALL"]
    security_opt: ["no-new-privileges:true"]
    volumes:
      - "@KIT@:@KIT@"
      - "@KIT@/startup:@KIT@/startup:ro"
{special}"""


def container_text(*, reads_cases: bool) -> str:
    """How to start the Compose file, for the README of the kit; a hospital reads cases."""
    cases = '|$(sed -n \'s/^data *= *"\\(.*\\)".*/\\1/p\' ../local/site.toml)|g"'
    data = f' \\\n    -e "s|@DATA@{cases}' if reads_cases else ""
    return f"""
Or in a container, with Docker Compose. The image is built from the sources of FedCross:
docker build -f training/containers/Dockerfile.cuda --build-arg EXTRAS=federate -t {IMAGE} training
Then, as the user who owns the kit, in this folder:

sed -e "s|@KIT@|$(dirname "$PWD")|g" -e "s|@UID@|$(id -u)|" -e "s|@GID@|$(id -g)|"{data} \\
    {COMPOSE} > installed.yaml
docker compose -f installed.yaml up -d

The sentences of the program: docker compose -f installed.yaml logs
"""
