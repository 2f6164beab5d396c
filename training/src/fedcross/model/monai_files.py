"""The configuration files of a bundle that MONAI's tools read."""

from typing import Any

from fedcross.model.architecture import CustomArchitecture
from fedcross.model.manifest import Manifest
from fedcross.volumes.preprocessing import Preprocessing

SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
"""The schema of MONAI's fields, which ``python -m monai.bundle verify_metadata`` downloads."""
_DATA_LOADER = {
    "_target_": "DataLoader",
    "dataset": "@dataset",
    "batch_size": 1,
    "shuffle": False,
    "num_workers": 0,
}
_HANDLERS = [
    {
        "_target_": "CheckpointLoader",
        "load_path": "$@bundle_root + '/models/model.pt'",
        "load_dict": {"model": "@network"},
    }
]
_EVALUATOR = {
    "_target_": "SupervisedEvaluator",
    "device": "@device",
    "val_data_loader": "@dataloader",
    "network": "@network",
    "inferer": "@inferer",
    "postprocessing": "@postprocessing",
    "val_handlers": "@handlers",
}


def build_metadata(manifest: Manifest) -> dict[str, Any]:
    """Return the content of ``metadata.json``: MONAI's fields, and the manifest under "fedcross"."""
    classes = {"0": "background"} | {str(s.label): s.name for s in manifest.structures}
    packages = manifest.provenance.packages
    steps = manifest.preprocessing
    patch = list(steps.patch_size[::-1])
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": ", ".join(dict.fromkeys(filter(None, steps.modalities))) or "n/a",
        "num_channels": steps.channel_count,
        "spatial_shape": patch,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": True,
        "channel_def": {str(index): name for index, name in enumerate(steps.channel_names)},
    }
    prediction = image | {
        "format": "probability",
        "num_channels": len(classes),
        "value_range": [0, 1],
        "channel_def": classes,
    }
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": "exported by fedcross"},
        "monai_version": packages.get("monai", "n/a"),
        "pytorch_version": packages.get("torch", "n/a").split("+")[0],
        "numpy_version": packages.get("numpy", "n/a"),
        "required_packages_version": _required_packages(manifest),
        "name": manifest.name,
        "task": f"Segmentation of {', '.join(s.name for s in manifest.structures)}",
        "description": manifest.description or manifest.name,
        "authors": "see docs/README.md",
        "copyright": "see LICENSE",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": prediction}},
        "fedcross": manifest.model_dump(mode="json"),
    }


def _required_packages(manifest: Manifest) -> dict[str, str]:
    packages = {"fedcross": manifest.provenance.packages.get("fedcross", "n/a")}
    if isinstance(manifest.architecture, CustomArchitecture):
        plugin = manifest.architecture.plugin
        packages[plugin.package] = plugin.version or "n/a"
    return packages


def build_inference_config(manifest: Manifest) -> dict[str, Any]:
    """Return the content of ``inference.json`` for MONAI's runner, which FedCross never reads.

    The runner writes the mean probabilities of the members, and the label map, to ``output_dir`` for
    each case in ``dataset_dir``. Both are on the grid of the image. A case is a file ``*.nii.gz``; with
    several channels it is one file for each channel, ``CASE_0000.nii.gz``, ``CASE_0001.nii.gz`` and so
    on, in the order of the manifest. The axis codes "LPS" select the same orientation as in
    `fedcross.volumes.prepare`.
    """
    steps = manifest.preprocessing
    return {
        "imports": ["$import glob", "$import numpy"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": "fedcross.model.networks.EnsembleNetwork",
            "architecture": manifest.architecture.model_dump(mode="json"),
            "members": len(manifest.members),
            **_temperature(manifest),
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": _preprocessing(steps),
        "dataset": {
            "_target_": "Dataset",
            "data": _data(steps.channel_count),
            "transform": "@preprocessing",
        },
        "dataloader": _DATA_LOADER,
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(steps.patch_size[::-1]),
            "overlap": steps.overlap,
            "mode": "gaussian",
        },
        "postprocessing": _postprocessing(),
        "handlers": _HANDLERS,
        "evaluator": _EVALUATOR,
        "run": ["$@evaluator.run()"],
    }


def _temperature(manifest: Manifest) -> dict[str, float]:
    """Return the network's argument for the temperature; none if it changes nothing."""
    temperature = manifest.calibration.temperature
    return {} if temperature == 1 else {"temperature": temperature}


def _image_keys(channels: int) -> list[str]:
    """Return the keys of a case's images: "image", "image_1", "image_2" ..."""
    return ["image", *(f"image_{index}" for index in range(1, channels))]


def _data(channels: int) -> str:
    """Return the expression that lists the files of every case."""
    if channels == 1:
        return "$[{'image': i} for i in sorted(glob.glob(@dataset_dir + '/*.nii.gz'))]"
    further = "".join(
        f", '{key}': i[:-len('0000.nii.gz')] + '{index:04d}.nii.gz'"
        for index, key in enumerate(_image_keys(channels))
        if index > 0
    )
    files = "sorted(glob.glob(@dataset_dir + '/*_0000.nii.gz'))"
    return f"$[{{'image': i{further}}} for i in {files}]"


def _join_channels(channels: int) -> list[dict[str, Any]]:
    """Return the transforms that resample further channels onto the first and join all of them."""
    if channels == 1:
        return []
    first, *further = _image_keys(channels)
    match = {"_target_": "ResampleToMatchd", "key_dst": first, "mode": "bilinear"}
    return [
        {**match, "keys": further, "padding_mode": "zeros"},
        {"_target_": "ConcatItemsd", "keys": [first, *further], "name": first, "dim": 0},
        {"_target_": "DeleteItemsd", "keys": further},
    ]


def _preprocessing(steps: Preprocessing) -> dict[str, Any]:
    """Return the transforms that compute what `fedcross.volumes.prepare.prepare` computes."""
    keys = {"keys": "image"}
    every = keys if steps.channel_count == 1 else {"keys": _image_keys(steps.channel_count)}
    return {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", **every},
            {"_target_": "EnsureChannelFirstd", **every},
            *({**step, **every} for step in _normalisation(steps)),
            *_join_channels(steps.channel_count),
            {"_target_": "Orientationd", **keys, "axcodes": "LPS"},
            {
                "_target_": "fedcross.model.monai_resampling.ResampleToSpacingd",
                **keys,
                "spacing_mm": list(steps.spacing_mm),
            },
            # FedCross arrays are (z, y, x).
            {"_target_": "Transposed", **keys, "indices": [0, 3, 2, 1]},
            {"_target_": "EnsureTyped", **keys, "device": "@device"},
        ],
    }


def _normalisation(steps: Preprocessing) -> list[dict[str, Any]]:
    """Return the transforms that compute what `fedcross.volumes.intensity.normalise` computes."""
    if steps.percentiles is not None:
        low, high = steps.percentiles
        clip = {"_target_": "ClipIntensityPercentilesd", "lower": low, "upper": high}
        return [clip, {"_target_": "NormalizeIntensityd"}]
    if steps.window is not None and steps.mean is not None and steps.std is not None:
        low, high = steps.window
        scaled = [(value - steps.mean) / steps.std for value in (low, high)]
        ends = {"a_min": low, "a_max": high, "b_min": scaled[0], "b_max": scaled[1]}
        return [{"_target_": "ScaleIntensityRanged", **ends, "clip": True}]
    nonzero = {"nonzero": True} if steps.intensity == "zscore-nonzero" else {}
    return [{"_target_": "NormalizeIntensityd", **nonzero}]


def _postprocessing() -> dict[str, Any]:
    """Return the transforms that resample to the grid of the image, choose labels, and save both."""
    save = {"_target_": "SaveImaged", "output_dir": "@output_dir", "resample": False}
    return {
        "_target_": "Compose",
        "transforms": [
            {
                "_target_": "Invertd",
                "keys": "pred",
                "transform": "@preprocessing",
                "orig_keys": "image",
                "nearest_interp": False,
            },
            {"_target_": "CopyItemsd", "keys": "pred", "names": "labels"},
            {"_target_": "AsDiscreted", "keys": "labels", "argmax": True},
            {**save, "keys": "pred", "output_postfix": "probabilities"},
            {
                **save,
                "keys": "labels",
                "output_postfix": "labels",
                "output_dtype": "$numpy.uint8",
            },
        ],
    }
