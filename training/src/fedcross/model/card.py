"""The parts of a bundle that are for people and for other tools: never read by FedCross."""

from collections.abc import Mapping
from typing import Any

from fedcross.model.manifest import Manifest

LICENSE_TEXT = """\
These weights are distributed under the Apache License, Version 2.0, unless whoever trained them
says otherwise here. The licence's text: https://www.apache.org/licenses/LICENSE-2.0
"""


def metadata(manifest: Manifest) -> dict[str, Any]:
    """Return ``metadata.json``: the fields MONAI asks for, and ours under "fedcross"."""
    classes = {"0": "background"} | {str(s.label): s.name for s in manifest.structures}
    packages = manifest.provenance.packages
    patch = list(manifest.preprocessing.patch_size[::-1])
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": manifest.preprocessing.modality or "n/a",
        "num_channels": 1,
        "spatial_shape": patch,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": True,
        "channel_def": {"0": "image"},
    }
    prediction = image | {
        "format": "probability",
        "num_channels": len(classes),
        "value_range": [0, 1],
        "channel_def": classes,
    }
    return {
        "version": "1.0.0",
        "changelog": {"1.0.0": "exported by fedcross"},
        "monai_version": packages.get("monai", "n/a"),
        "pytorch_version": packages.get("torch", "n/a").split("+")[0],
        "numpy_version": packages.get("numpy", "n/a"),
        "required_packages_version": {"fedcross": packages.get("fedcross", "n/a")},
        "name": manifest.name,
        "task": f"Segmentation of {', '.join(s.name for s in manifest.structures)}",
        "description": manifest.description or manifest.name,
        "authors": "see docs/README.md",
        "copyright": "see LICENSE",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": prediction}},
        "fedcross": manifest.model_dump(mode="json"),
    }


def inference_config(manifest: Manifest) -> dict[str, Any]:
    """Return ``inference.json`` for MONAI's runner: every member, averaged.

    It writes the ensemble's probabilities of each image in ``dataset_dir`` to ``output_dir``. MONAI
    works in RAS where FedCross works in LPS, so its axis codes are flipped accordingly.
    """
    steps = manifest.preprocessing
    keys = {"keys": "image"}
    return {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": "fedcross.model.networks.EnsembleNetwork",
            "architecture": manifest.architecture.model_dump(mode="json"),
            "members": len(manifest.members),
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", **keys},
                {"_target_": "EnsureChannelFirstd", **keys},
                {"_target_": "NormalizeIntensityd", **keys},
                {"_target_": "Orientationd", **keys, "axcodes": "LPS"},
                {"_target_": "Spacingd", **keys, "pixdim": list(steps.spacing_mm)},
                # FedCross arrays are (z, y, x).
                {"_target_": "Transposed", **keys, "indices": [0, 3, 2, 1]},
                {"_target_": "EnsureTyped", **keys, "device": "@device"},
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in sorted(glob.glob(@dataset_dir + '/*.nii.gz'))]",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(steps.patch_size[::-1]),
            "overlap": steps.overlap,
            "mode": "gaussian",
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Transposed", "keys": "pred", "indices": [0, 3, 2, 1]},
                {
                    "_target_": "SaveImaged",
                    "keys": "pred",
                    "output_dir": "@output_dir",
                    "output_postfix": "probabilities",
                    "resample": False,
                },
            ],
        },
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }


def model_card(manifest: Manifest) -> str:
    """Return ``docs/README.md``: what the bundle does, where it comes from, what it must not do."""
    steps, provenance = manifest.preprocessing, manifest.provenance
    rows = [
        f"| {s.label} | {s.name} | {s.type.scheme} {s.type.value} ({s.type.meaning}) |"
        for s in manifest.structures
    ]
    members = [
        f"| {index} | {member.last_site or 'not recorded'} | {member.rounds} |"
        for index, member in enumerate(manifest.members)
    ]
    figures = [f"| {name} | {value:.4f} |" for name, value in provenance.validation.items()]
    return "\n".join(
        [
            f"# {manifest.name}",
            "",
            manifest.description or "A segmentation ensemble trained by federated cross learning.",
            "",
            f"{len(manifest.members)} models trained across {len(manifest.sites) or 'unrecorded'} "
            "sites without averaging (FedCross, Xu et al., MIDL 2023, arXiv 2204.02450). Their "
            "mean is the segmentation; their spread shows where not to trust it.",
            "",
            "| label | structure | code |",
            "|---|---|---|",
            *rows,
            "",
            "## Input",
            "",
            f"One 3D volume{' (' + steps.modality + ')' if steps.modality else ''}, any "
            f"orientation; brought to {_times(steps.spacing_mm)} mm, z-score intensities, patches of "
            f"{_times(steps.patch_size)} voxels overlapping by {steps.overlap:.0%}.",
            "",
            "## Members",
            "",
            "| member | last site | rounds |",
            "|---|---|---|",
            *members,
            "",
            *_section("Validation", ["| figure | value |", "|---|---|", *figures], bool(figures)),
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


def _times(triple: tuple[float, ...]) -> str:
    return " x ".join(f"{value:g}" for value in triple)


def _section(title: str, lines: list[str], wanted: bool) -> list[str]:
    return [f"## {title}", "", *lines, ""] if wanted else []


def _versions(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))
