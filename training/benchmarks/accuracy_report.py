"""The tables of `accuracy.py`: test Dice, worst site, time and memory of every contender."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from accuracy_federations import BLOCKS, Federation

from fedcross.study.compare.significance import Spread, over_seeds

Result = dict[str, Any]
NOTES = {
    "hippocampus": """\
Four hospitals: one unchanged, one with inverted images, one with noise, and one whose label maps are
one voxel larger. Each has 3 cases to train, 1 to validate and 2 to test.
""",
    "pelvis": """\
Four hospitals of `fedcross data phantom --anatomy pelvis`. Each has 4 cases to train, 1 to validate and
3 to test.
""",
    "sarcoma": """\
Two hospitals, one with three T1 MR and one with three CT of the same patients. Each seed tests another
patient's images and trains on those of the other two. So few cases show that the methods run on such
images; they do not rank them.
""",
    "spinal": f"""\
Two hospitals with one volume each, T1w and T2w, cut along the cord into {BLOCKS} blocks of slices. Each
seed tests another block and trains on the others, which show the same person. So few cases show that
the methods run on rotated volumes; they do not rank them.
""",
}
CONDITIONS = """\
Dice is the mean over all test cases and structures, on the grid of each image, computed by the same
function for all. The worst site is the lowest mean of a site in a run. Behind ± is the standard
deviation over the seeds. Steps are the optimiser steps of a run over all of its models. Seconds are
those of the whole run: reading, preprocessing, training, validation and prediction of the test images.
Processor seconds are those of all cores together; they depend less on other work of the machine. "A
step" is the time of the training, with the cutting and changing of patches, divided by the number of
steps. Memory is the peak of all processes of a run together.

"MONAI loop" is [`accuracy_monai.py`](../../accuracy_monai.py) and "nnU-Net" is
[`nnunet_driver.py`](../../nnunet_driver.py); both train one model on the pooled cases.

Our methods use the defaults of the package: strong augmentation, the weights of the last round.
"""


def write_report(
    name: str,
    federation: Federation,
    titles: Mapping[str, str],
    results: Sequence[Result],
    out: Path,
) -> str:
    """Write the table of a federation; return the text.

    Parameters
    ----------
    name
        Name of the federation, which is the name of the files.
    federation
        The federation.
    titles
        Name of a contender to its title, in the order of the table.
    results
        The finished runs.
    out
        Folder of the file ``<name>.md``.
    """
    text = f"# Accuracy: {federation.title}\n\n{NOTES[name]}\n{table(titles, results)}\n"
    text += f"{CONDITIONS}{_describe_network(federation)}\n{facts(results)}"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    return text


def _describe_network(federation: Federation) -> str:
    x, y, z = federation.patch_size
    visit = federation.local_epochs * federation.steps_per_epoch
    return (
        f"They train the U-Net with {federation.base_channels} channels at the first level, with "
        f"{federation.batch} patches of\n{x} x {y} x {z} voxels (x, y, z) in a step. A visit of "
        f"FedCross has {visit} steps; the proximal term\nis the one that `fedcross plan` proposes "
        "for it.\n"
    )


def table(titles: Mapping[str, str], results: Sequence[Result]) -> str:
    """Return a row for every contender with a finished run."""
    sites = list(dict.fromkeys(score["site"] for result in results for score in result["scores"]))
    heading = ["", "seeds", "Dice", "one member alone", "worst site", *sites, "steps"]
    heading += ["seconds", "processor s", "a step, s", "memory, MB"]
    lines = [heading, ["---"] * len(heading)]
    for contender, title in titles.items():
        runs = [result for result in results if result["contender"] == contender]
        if runs:
            lines.append([title, *_cells(runs, sites)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(runs: Sequence[Result], sites: Sequence[str]) -> list[str]:
    by_site = [{site: _mean(run, site) for site in sites} for run in runs]
    cells = [str(len(runs)), _told([_mean(run) for run in runs])]
    alone = [fmean(run["members"]) for run in runs if len(run["members"]) > 1]
    cells += [_told(alone) if alone else "", _told([min(each.values()) for each in by_site])]
    cells += [_told([each[site] for each in by_site]) for site in sites]
    cells.append(" / ".join(str(n) for n in sorted({run["steps"] for run in runs})))
    cells += [f"{fmean(run[key] for run in runs):.0f}" for key in ("seconds", "processor_s")]
    cells.append(f"{fmean(run['training_s'] / run['steps'] for run in runs):.2f}")
    return [*cells, f"{max(run['peak_mb'] for run in runs):.0f}"]


def _mean(run: Result, site: str | None = None) -> float:
    return fmean(score["dice"] for score in run["scores"] if site in (None, score["site"]))


def _told(values: Sequence[float]) -> str:
    spread: Spread = over_seeds(list(values))
    return f"{spread.mean:.3f}" + (f" ± {spread.deviation:.3f}" if len(values) > 1 else "")


def facts(results: Sequence[Result]) -> str:
    """Return dates, machine, versions and plans as a list."""
    lines = []
    for label, key in (("date", "date"), ("commit", "commit"), ("machine", "machine")):
        lines.append(f"{label}: {_listed(run[key] for run in results)}")
    loads = [run["load"] for run in results]
    if loads:
        lines.append(
            f"load of the machine at the end of a run: {min(loads):.1f} to {max(loads):.1f}"
        )
    lines.append(f"versions: {_listed(_versions(run['versions']) for run in results)}")
    if plans := [_plan(run) for run in results if "plan" in run]:
        lines.append(f"plan of nnU-Net: {_listed(plans)}")
    return "".join(f"- {line}\n" for line in lines)


def _plan(run: Result) -> str:
    plan = run["plan"]
    patch = " x ".join(str(n) for n in plan["patch_zyx"])
    spacing = " x ".join(f"{mm:g}" for mm in plan["spacing_zyx"])
    return (
        f"patch {patch} (z, y, x), batch {plan['batch']}, spacing {spacing} mm, "
        f"{plan['stages']} stages, {run['parameters'] / 1e6:.1f} million parameters"
    )


def _versions(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _listed(values: Any) -> str:
    return "; ".join(dict.fromkeys(values)) or "none"
