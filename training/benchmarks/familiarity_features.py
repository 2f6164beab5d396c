"""Measure how well the deepest features of a member tell unfamiliar scans from new ones.

    python training/benchmarks/familiarity_features.py BUNDLE --config CONFIG --out FOLDER --foreign ...

The scans are those of `familiarity.py`. The deepest features are what the last encoding block of the
first member of a reference U-Net returns: the mean of each channel over the voxels of up to eight
patches. They are scored in the same way as the properties of a profile. FOLDER gets ``features.md``.
"""

import sys
from collections.abc import Sequence

import numpy as np
import torch
from familiarity import arguments, foreign_folders
from familiarity_changes import CHANGES
from familiarity_judging import areas_by_kind
from familiarity_scans import FAMILIAR, all_images
from numpy.typing import NDArray
from torch import nn

from fedcross.errors import ConfigError
from fedcross.model.bundle import open_bundle
from fedcross.model.networks import UNet
from fedcross.patches.placement import plan_patches
from fedcross.patches.sliding_window import cut_patches
from fedcross.uncertainty.familiarity import FamiliarCases, joined
from fedcross.uncertainty.familiarity_limit import leave_one_out, upper_limits
from fedcross.uncertainty.moments import Moments
from fedcross.volumes.prepare import prepare
from fedcross.volumes.preprocessing import Preprocessing

MAX_PATCHES = 8
Row = tuple[str, str, str, NDArray[np.float64]]  # kind, site, part, features


def deepest_features(
    network: nn.Module, array: NDArray[np.float32], preprocessing: Preprocessing
) -> NDArray[np.float64]:
    """Return the mean of each channel of the last encoding block, float64 (channels,)."""
    if not isinstance(network, UNet):
        raise ConfigError("The deepest features are measured of the network unet only.")
    patch = preprocessing.patch_size[::-1]
    starts = plan_patches(array.shape[1:], patch, 0.0)
    chosen = np.linspace(0, len(starts) - 1, min(len(starts), MAX_PATCHES)).round().astype(int)
    means = []
    with torch.inference_mode():
        for _, voxels in cut_patches(array, patch, [starts[index] for index in chosen]):
            if voxels is not None:
                x = torch.from_numpy(voxels)[None]
                for encoder in (network.enc1, network.enc2, network.enc3, network.enc4):
                    x, _ = encoder(x)
                means.append(x.mean((0, 2, 3, 4)).double().numpy())
    return np.asarray(np.mean(means, axis=0))


def judge(rows: Sequence[Row]) -> tuple[list[tuple[str, float]], float]:
    """Return (kind, score) of every scan but those of the profile, and the limit."""
    profile = [row for row in rows if row[0] == FAMILIAR and row[2] != "test"]
    unit = np.array([row[3] for row in profile]).std(axis=0).mean()
    sites = list(dict.fromkeys(row[1] for row in profile))
    own = [np.array([row[3] / unit for row in profile if row[1] == site]) for site in sites]
    moments = [Moments.of(table) for table in own]
    groups = (np.arange(own[0].shape[1]),)
    scores = [
        each.distances.max(axis=1).min()
        for site, table in enumerate(own)
        for each in leave_one_out(moments, site, table, groups)
    ]
    limit = float(upper_limits(Moments.of(np.log(scores)[:, None]), 0.05)[0])
    known = FamiliarCases.of(joined(moments), groups)
    shown = [row for row in rows if row[2] not in ("train", "validation")]
    return [(row[0], known.score(row[3] / unit)) for row in shown], limit


def main() -> int:
    """Measure, judge and write."""
    given = arguments(__doc__).parse_args()
    rows: list[Row] = []
    with open_bundle(given.bundle) as bundle:
        network, steps = bundle.load_member(0), bundle.manifest.preprocessing
        foreign = foreign_folders(given.foreign)
        for each in all_images(bundle.manifest, given.config, foreign, CHANGES):
            features = deepest_features(network, prepare(each.image, steps).array, steps)
            rows.append((each.kind, each.site, each.part, features))
    scores, limit = judge(rows)
    areas = areas_by_kind(scores)
    lines = ["# Unfamiliar scans by the deepest features", ""]
    lines += ["| scans | AUROC | above the limit |", "|---|---|---|"]
    for kind in dict.fromkeys(kind for kind, _ in scores):
        above = np.mean([score > limit for one, score in scores if one == kind])
        area = "" if kind == FAMILIAR else f"{areas[kind]:.3f}"
        lines.append(f"| {kind} | {area} | {above:.0%} |")
    text = "\n".join(lines) + "\n"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "features.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
