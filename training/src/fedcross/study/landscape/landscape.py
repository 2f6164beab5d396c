"""The loss of the sites' data at an averaged model and at cross-trained models.

This measures the argument of Fig. 1 of Xu et al., MIDL 2023. Two trainings start from one model of a
run, with the same epochs, learning rates and cases. In the first, one model per site trains at its site
only; the mean of these local models is what an averaging method continues with. In the second, members
train at all sites in turn. The loss of every site's cases is measured at all these models, along lines
between them, and on the plane through three local models.

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
from fedcross.runtime.files.atomic import write_atomically
from fedcross.runtime.files.folders import make_folder
from fedcross.runtime.reporting import NullReporter, Reporter
from fedcross.strategies.averaging import weighted_mean
from fedcross.strategies.member import MemberState
from fedcross.strategies.method import Members
from fedcross.strategies.plan import make_plan
from fedcross.strategies.registry import make_method
from fedcross.study.compare.compare import check_matplotlib, to_csv
from fedcross.study.landscape.numbers import measure
from fedcross.study.landscape.probe import Probe, State
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.volumes import Site
from fedcross.training.run.export import load_members
from fedcross.training.run.folder import RunFolder
from fedcross.training.step.precision import training_precision
from fedcross.training.step.visit import visit

NUMBERS, TABLE, FIGURE = "landscape.json", "landscape.csv", "landscape.svg"
AVERAGE, CROSSED, START = "average of the local models", "cross-trained", "start"
IN_PLANE = 3


@dataclass(frozen=True)
class LandscapeRequest:
    """Run, trainings and measurements of a landscape.

    Attributes
    ----------
    run
        Run folder; it has the configuration, the splits and the start model.
    out
        Folder of the result; created if it does not exist.
    data_root
        Folder that the data paths of the configuration are relative to.
    start
        Start model: member 0 after the ``best`` or the ``last`` round, or ``untrained``.
    cycles
        Length of the two trainings; a cycle has as many rounds as there are sites.
    part
        Cases whose loss is measured: ``validation`` or ``train``.
    cases
        Largest number of cases per site.
    points
        Number of points along each line and along each side of the plane.
    reestimate
        Whether the statistics of batch normalisation are computed again for every model, see `probe`.
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
    """Train, measure, and write the files; return the content of ``landscape.json``.

    Raises
    ------
    ConfigError, DataError, CheckpointError, DeviceError, OutputError
        If the request, the run or the data cannot be used; no file is written then.
    """
    reporter = reporter or NullReporter()
    check_matplotlib()
    run = RunFolder(request.run)
    config = run.configuration().model_copy(update={"data_root": request.data_root.absolute()})
    _check(request, config)
    target = resolve_device(device)
    training_precision(config, target)
    start = _load_start(request, run, config)
    data = read_data(config, reporter)
    names = [site.name for site in config.sites]
    run.check_cases({n: c.names() for n, c in zip(names, data.cases, strict=True)})
    try:
        probe = Probe(
            config, data.sites, request.part, request.cases, target, reestimate=request.reestimate
        )
    except ValueError as error:
        raise ConfigError(f"There is nothing to measure: {error}", "Use --part train.") from error
    local = _train("local", start, config, data.sites, request, target, reporter)
    crossed = _train("fedcross-ens", start, config, data.sites, request, target, reporter)
    models = _collect_models(start, local, crossed, data.sites)
    numbers = _measure(models, names, config, request, probe, reporter)
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


def _load_start(request: LandscapeRequest, run: RunFolder, config: TrainingConfig) -> MemberState:
    """Return the start model of both trainings, without momentum."""
    if request.start == "untrained":
        member = config.method.first_members(config.network, 1, config.seed)[0]
    else:
        member = load_members(run, request.start).members[0]
    return replace(member, optimizer={})


def _train(
    kind: str,
    start: MemberState,
    config: TrainingConfig,
    sites: Sequence[Site],
    request: LandscapeRequest,
    device: torch.device,
    reporter: Reporter,
) -> Members:
    """Train one member per site, each from `start`, with the method of this kind."""
    rounds = request.cycles * len(sites)
    local_epochs = max(1, config.method.local_epochs)
    method = make_method(kind, rounds=rounds, local_epochs=local_epochs)
    config = config.model_copy(update={"method": method})
    reporter.stage(
        kind, f"Training {len(sites)} models ({kind}) from the start model, {rounds} rounds"
    )

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


def _collect_models(
    start: MemberState, local: Members, crossed: Members, sites: Sequence[Site]
) -> dict[str, State]:
    """Return all models by name; the averages weigh the sites by their training cases, as FedAvg."""
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
        "batch_norm": _describe_statistics(probe, request),
        **measure(models, AVERAGE, corners, pairs, parameters, request.points, probe, reporter),
    }


def _describe_statistics(probe: Probe, request: LandscapeRequest) -> str:
    if not probe.has_statistics:
        return "the network keeps no running statistics"
    if request.reestimate:
        return (
            "running statistics computed again for every model, on the training cases of all sites"
        )
    return "running statistics combined as the weights are"


def _write(out: Path, numbers: dict[str, Any]) -> None:
    from fedcross.study.landscape.figure import draw  # imports matplotlib

    models = numbers["models"]
    columns = list(next(iter(models.values()))["loss"])
    rows = [["model", *columns, "from_average", "off_plane"]]
    rows += [
        [name, *(each["loss"][c] for c in columns), each["from_average"], each["off"]]
        for name, each in models.items()
    ]
    files = {
        TABLE: to_csv(rows),
        FIGURE: draw(numbers).encode("utf-8"),
        NUMBERS: json.dumps(numbers, indent=1).encode("utf-8"),
    }
    make_folder(out)
    for name, data in files.items():
        write_atomically(out / name, data, durable=True)
