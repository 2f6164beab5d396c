"""The model card and the licence text of a bundle."""

from collections.abc import Mapping

from fedcross.model.architecture import CustomArchitecture
from fedcross.model.calibration_text import describe_calibration
from fedcross.model.manifest import Manifest
from fedcross.runtime.plugins import VARIABLE
from fedcross.volumes.preprocessing import Preprocessing

LICENSE_TEXT = """\
These weights are distributed under the Apache License, Version 2.0, unless whoever trained them
says otherwise here. The licence's text: https://www.apache.org/licenses/LICENSE-2.0
"""


def render_model_card(manifest: Manifest) -> str:
    """Return the model card ``docs/README.md``: structures, input, members, calibration, limits."""
    steps, provenance = manifest.preprocessing, manifest.provenance
    calibration = [
        f"| {name} | {text} |" for name, text in describe_calibration(manifest.calibration)
    ]
    figures = [f"| {name} | {value:.4f} |" for name, value in provenance.validation.items()]
    return "\n".join(
        [
            f"# {manifest.name}",
            "",
            manifest.description or "A segmentation ensemble trained by federated cross learning.",
            "",
            _describe_ensemble(len(manifest.members), len(manifest.sites)),
            "",
            *_structure_table(manifest),
            "",
            "## Input",
            "",
            f"{_describe_input(steps)}, any "
            f"orientation; brought to {_times(steps.spacing_mm)} mm, {steps.describe_intensity()}, "
            f"patches of {_times(steps.patch_size)} voxels overlapping by {steps.overlap:.0%}.",
            "",
            *_network_note(manifest),
            "## Members",
            "",
            *_member_table(manifest),
            "",
            *_section("Validation", ["| figure | value |", "|---|---|", *figures], bool(figures)),
            *_section(
                "Calibration", ["| item | value |", "|---|---|", *calibration], bool(calibration)
            ),
            "## Limits",
            "",
            "Research use only; not a medical device. Members that agree can be wrong together: "
            "low uncertainty is no proof, least of all on images unlike those of the training sites.",
            "",
            "## Provenance",
            "",
            f"Made {provenance.created}. {provenance.source}".rstrip(),
            "",
            _versions(provenance.packages),
            "",
        ]
    )


def _describe_ensemble(members: int, sites: int) -> str:
    """Return how many models there are, where they were trained, and what shows their doubt."""
    where = f"{sites or 'unrecorded'} {'site' if sites == 1 else 'sites'}"
    if members == 1:
        return (
            f"One model trained with the cases of {where}. The entropy of its probabilities shows where "
            "not to trust it."
        )
    return (
        f"{members} models trained across {where} without averaging (FedCross, Xu et al., MIDL 2023, "
        "arXiv 2204.02450). Their mean is the segmentation; their spread shows where not to trust it."
    )


def _describe_input(steps: Preprocessing) -> str:
    """Return the images of a case in words, with their modalities."""
    kinds = [f" ({modality})" if modality else "" for modality in steps.modalities]
    if not steps.channels:
        return f"One 3D volume{kinds[0]}"
    names = ", ".join(map("".join, zip(steps.channel_names, kinds, strict=True)))
    if len(steps.channels) == 1:
        return f"One 3D volume, {names}"
    return f"{len(steps.channels)} co-registered 3D volumes ({names}), resampled onto the first"


def _network_note(manifest: Manifest) -> list[str]:
    """A section for a network that is code of another package; empty for the others."""
    architecture = manifest.architecture
    if not isinstance(architecture, CustomArchitecture):
        return []
    sentence = (
        f"The network is {architecture.plugin}. FedCross runs it only where that package is installed "
        f"in this version and allowed by name, see `--allow-plugin` and `{VARIABLE}`."
    )
    return ["## Network", "", sentence, ""]


def _structure_table(manifest: Manifest) -> list[str]:
    rows = [
        f"| {s.label} | {s.name} | {s.type.scheme} {s.type.value} ({s.type.meaning}) |"
        for s in manifest.structures
    ]
    return ["| label | structure | code |", "|---|---|---|", *rows]


def _member_table(manifest: Manifest) -> list[str]:
    rows = [
        f"| {index} | {member.last_site or 'not recorded'} | {member.rounds} |"
        for index, member in enumerate(manifest.members)
    ]
    return ["| member | last site | rounds |", "|---|---|---|", *rows]


def _times(triple: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in triple)


def _section(title: str, lines: list[str], wanted: bool) -> list[str]:
    return [f"## {title}", "", *lines, ""] if wanted else []


def _versions(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))
