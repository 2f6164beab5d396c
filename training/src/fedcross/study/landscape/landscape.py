"""Where an averaged and where a cross-trained model sit on the loss of the sites' data.

The paper's argument (Xu et al., MIDL 2023, its Fig. 1) made measurable. From one model of a run two
trainings set out, with the same epochs, rates and cases: one model per site that trains at its site
alone, and members that walk all the sites. The mean of the local models is what averaging would go on
with. The loss of every site's cases is then measured at all of these, along the lines between them,
and on the plane through three local models.

::

    landscape.json   every number of the figure
    landscape.csv    the models' losses by site
    landscape.svg    the figure
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from fedcross.errors import ConfigError
from fedcross.federate.local.engine import read_data
from fedcross.model.networks import build_network
from fedcross.runtime.device import resolve_device
from fedcross.runtime.files.atomic import make_folder, write_atomically
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.strategies.averaging import weighted_mean
from fedcross.strategies.member import MemberState
from fedcross.strategies.method import Members
from fedcross.strategies.plan import make_plan
from fedcross.strategies.registry import make_method
from fedcross.study.compare.compare import as_csv, check_matplotlib
from fedcross.study.landscape.numbers import measure
from fedcross.study.landscape.probe import Probe, State
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.volumes import Site
from fedcross.training.run.export import load_members
from fedcross.training.run.folder import RunFolder
from fedcross.training.step.local_training import training_precision
from fedcross.training.step.visit import visit

NUMBERS, TABLE, FIGURE = "landscape.json", "landscape.csv", "landscape.svg"
AVERAGE, CROSSED, START = "average of the local models", "cross-trained", "start"
IN_PLANE = 3


@dataclass(frozen=True)
class LandscapeRequest:
    """What to look at.

    Attributes
    ----------
    run
        Run folder: gives the configuration, the splits and the first model.
    out
        Folder for the result.
    data_root
        Folder that the configuration's data paths are relative to.
    start
        ``best`` or ``last``: member 0 of that round; ``untrained``: as it was before the run.
    cycles
        Rounds of the two trainings, in numbers of sites.
    part
        Whose loss is measured.
    cases
        At most so many cases of each site.
    points
        Along each line and each side of the plane.
    reestimate
        Whether batch normalisation's statistics are measured anew for every model; see `probe`.
    """

    run: Path
    out: Path
    data_root: Path
    start: str = "best"
    cycles: int = 1
    part: str = "validation"
    cases: int = 4
    points: int = 15
    reestimate: bool = True


def landscape(
    request: LandscapeRequest, *, device: str = "auto", reporter: Reporter | None = None
) -> dict[str, Any]:
    """Train, measure and draw; returns what ``landscape.json`` holds.

    Raises
    ------
    ConfigError, DataError, CheckpointError, DeviceError, OutputError
        One sentence each; nothing is written then.
    """
    hear = reporter or NullReporter()
    check_matplotlib()
    run = RunFolder(request.run)
    config = run.configuration().model_copy(update={"data_root": request.data_root.absolute()})
    _check(request, config)
    target = resolve_device(device)
    training_precision(config.training, target)
    start = _first(request, run, config)
    data = read_data(config, hear)
    names = [site.name for site in config.sites]
    run.check_cases({n: c.names() for n, c in zip(names, data.cases, strict=True)})
    try:
        probe = Probe(
            config, data.sites, request.part, request.cases, target, reestimate=request.reestimate
        )
    except ValueError as error:
        raise ConfigError(f"There is nothing to measure: {error}", "Use --part train.") from error
    local = _trained("local", start, config, data.sites, request, target, hear)
    crossed = _trained("fedcross-ens", start, config, data.sites, request, target, hear)
    models = _models(start, local, crossed, data.sites)
    numbers = _measure(models, names, config, request, probe, hear)
    _write(request.out, numbers)
    return numbers


def _check(request: LandscapeRequest, config: TrainingConfig) -> None:
    for name, word, words in (
        ("start", request.start, ("best", "last", "untrained")),
        ("part", request.part, ("validation", "train")),
    ):
        if word not in words:
            raise ConfigError(f"{name} must be {' or '.join(words)}, got {word!r}.")
    if len(config.sites) < 2:
        raise ConfigError("A landscape needs two sites or more, the run has one.")
    for name, value, least in (
        ("cycles", request.cycles, 1),
        ("cases", request.cases, 1),
        ("points", request.points, 3),
    ):
        if value < least:
            raise ConfigError(f"{name} must be at least {least}, got {value}.")


def _first(request: LandscapeRequest, run: RunFolder, config: TrainingConfig) -> MemberState:
    """The model that both trainings set out from, at rest: no momentum, and all the same for both."""
    if request.start == "untrained":
        member = config.method.first_members(config.network, 1, config.seed)[0]
    else:
        member = load_members(run, request.start).members[0]
    return replace(member, optimizer={})


def _trained(
    kind: str,
    start: MemberState,
    config: TrainingConfig,
    sites: Sequence[Site],
    request: LandscapeRequest,
    device: torch.device,
    reporter: Reporter,
) -> Members:
    """One member per site, each from `start`, trained as the strategy of this name does."""
    rounds = request.cycles * len(sites)
    local_epochs = max(1, config.method.local_epochs)
    method = make_method(kind, rounds=rounds, local_epochs=local_epochs)
    config = config.model_copy(update={"method": method})
    reporter.stage(kind, f"Training {len(sites)} models from one ({kind}), {rounds} rounds")

    def visits(
        members: Sequence[MemberState], where: Sequence[int], round_index: int
    ) -> list[MemberState]:
        trained = []
        for member, site in zip(members, where, strict=True):
            trained.append(visit(member, sites[site], round_index, config, device)[0])
            done = round_index * len(sites) + len(trained)
            reporter.progress(done, rounds * len(sites), kind)
        return trained

    plan = make_plan(method, config.network, [len(site.train) for site in sites], config.seed)
    members = tuple(replace(start, index=index) for index in range(len(sites)))
    for done in method.run(members, plan, visits, range(rounds)):
        members = done
    return members


def _models(
    start: MemberState, local: Members, crossed: Members, sites: Sequence[Site]
) -> dict[str, State]:
    """All models by name; the averages weigh the sites by their training cases, as FedAvg does."""
    cases = [len(site.train) for site in sites]
    models: dict[str, State] = {
        f"local, {site.name}": m.weights for site, m in zip(sites, local, strict=True)
    }
    models |= {f"{CROSSED} {index + 1}": m.weights for index, m in enumerate(crossed)}
    pairs = [(n, m.weights) for n, m in zip(cases, local, strict=True)]
    models[AVERAGE] = weighted_mean(pairs)
    if len(sites) > IN_PLANE:
        models[f"{AVERAGE}, the first {IN_PLANE}"] = weighted_mean(pairs[:IN_PLANE])
    models[START] = start.weights
    return models


def _measure(
    models: dict[str, State],
    sites: Sequence[str],
    config: TrainingConfig,
    request: LandscapeRequest,
    probe: Probe,
    reporter: Reporter,
) -> dict[str, Any]:
    with torch.device("meta"):
        parameters = [name for name, _ in build_network(config.network).named_parameters()]
    corners = [f"local, {site}" for site in sites[:IN_PLANE]]
    if len(corners) == 2:
        corners.append(f"{CROSSED} 1")
    pairs = [*itertools.combinations(corners, 2), (AVERAGE, f"{CROSSED} 1")]
    return {
        "run": request.run.name,
        "start": request.start,
        "cycles": request.cycles,
        "part": request.part,
        "batch_norm": _statistics(probe, request),
        **measure(models, AVERAGE, corners, pairs, parameters, request.points, probe, reporter),
    }


def _statistics(probe: Probe, request: LandscapeRequest) -> str:
    if not probe.has_statistics:
        return "the network keeps no running statistics"
    if request.reestimate:
        return "running statistics measured anew for every model, on all sites' training cases"
    return "running statistics combined as the weights are"


def _write(out: Path, numbers: dict[str, Any]) -> None:
    from fedcross.study.landscape.figure import draw  # matplotlib, only now

    make_folder(out)
    models = numbers["models"]
    columns = list(next(iter(models.values()))["loss"])
    rows = [["model", *columns, "from_average", "off_plane"]]
    rows += [
        [name, *(each["loss"][c] for c in columns), each["from_average"], each["off"]]
        for name, each in models.items()
    ]
    write_atomically(out / TABLE, as_csv(rows), durable=True)
    write_atomically(out / FIGURE, draw(numbers).encode("utf-8"), durable=True)
    write_atomically(out / NUMBERS, json.dumps(numbers, indent=1).encode("utf-8"), durable=True)
