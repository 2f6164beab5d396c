"""A plain MONAI loop on the pooled cases, for `accuracy.py`.

    python training/benchmarks/accuracy_monai.py RUN

It gets the volumes that our training gets, on the same grid with the same z-scores. Patches, random
changes, network, loss and inference are MONAI's. The network is MONAI's basic U-Net with as many
levels and channels as ours; batch and optimiser are those of the configuration. The random changes are
the strong list of `[augmentation]` as far as MONAI has it, with the same probabilities and ranges. MONAI
cuts a patch first and then changes it, so that the patch's border is filled with zeros. An elastic
displacement is only made if voxels are isotropic, because MONAI has one size for all axes.

RUN contains `request.json`. A checkpoint is written now and then; a second start goes on from it.
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import SimpleITK as sitk
import torch
from accuracy_request import PREDICTIONS, TRAINING, Request, read_request, test_cases
from monai.data import CacheDataset, DataLoader
from monai.inferers import sliding_window_inference
from monai.losses import DiceCELoss
from monai.networks.nets import BasicUNet
from monai.transforms import (
    Compose,
    EnsureTyped,
    FgBgToIndicesd,
    Rand3DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
    SpatialPadd,
)

from fedcross.ensemble.label_map import label_map
from fedcross.runtime.seeding import seed_of
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.data.reading import read_channel
from fedcross.training.data.sites import find_all_cases, load_sites
from fedcross.volumes.prepare import prepare

CHECKPOINT = "monai.pt"
CHECKPOINT_EPOCHS = 10
BOTH = ("image", "label")


def transforms(config: TrainingConfig) -> Compose:
    """Return MONAI's transforms of a case, (1, D, H, W), to a list with one patch."""
    x, y, z = config.preprocessing.patch_size
    patch, a = (z, y, x), config.augmentation
    modes = ("bilinear", "nearest")
    spacing = config.preprocessing.spacing_mm
    is_anisotropic = max(spacing) >= 2 * min(spacing)
    tilt = a.tilt_rad if is_anisotropic else a.rotation_rad
    blur = (0.25, a.blur_voxels)
    gamma = (math.exp(-a.gamma), math.exp(a.gamma))
    inverted, kept = a.gamma_inverted, 1 - a.gamma_inverted
    steps: list[Any] = [
        EnsureTyped(BOTH),
        SpatialPadd(BOTH, patch),
        FgBgToIndicesd("label"),
        RandCropByPosNegLabeld(
            BOTH,
            "label",
            patch,
            fg_indices_key="label_fg_indices",
            bg_indices_key="label_bg_indices",
        ),
        RandAffined(
            BOTH,
            prob=1.0,
            rotate_range=(a.rotation_rad, tilt, tilt),
            scale_range=((1 / a.scale - 1, a.scale - 1),) * 3,
            mode=modes,
            padding_mode="zeros",
        ),
        RandFlipd(BOTH, a.flip_chance([s.name for s in config.structures]), spatial_axis=2),
    ]
    if not is_anisotropic:
        steps.append(
            Rand3DElasticd(
                BOTH,
                (5, 8),
                (50, 150),
                prob=a.elastic_probability,
                mode=modes,
                padding_mode="zeros",
            )
        )
    steps += [
        RandBiasFieldd("image", coeff_range=(-a.bias / 3, a.bias / 3), prob=a.bias_probability),
        RandGaussianSmoothd(
            "image",
            sigma_x=(0.01, 0.02) if is_anisotropic else blur,
            sigma_y=blur,
            sigma_z=blur,
            prob=a.blur_probability,
        ),
        RandSimulateLowResolutiond(
            "image", prob=a.low_resolution_probability, zoom_range=(a.low_resolution, 1.0)
        ),
        RandAdjustContrastd(
            "image",
            prob=a.gamma_probability * inverted,
            gamma=gamma,
            invert_image=True,
            retain_stats=True,
        ),
        RandAdjustContrastd(
            "image", prob=a.gamma_probability * kept, gamma=gamma, retain_stats=True
        ),
        RandScaleIntensityd("image", a.contrast, prob=a.contrast_probability),
        RandShiftIntensityd("image", a.brightness, prob=a.contrast_probability),
        RandGaussianNoised("image", prob=a.noise_probability, std=a.noise),
    ]
    return Compose(steps)


def batches(loader: DataLoader, change: Compose, seed: int, epoch: int) -> Iterator[Any]:
    """Yield batches without end, beginning with an epoch; every epoch has its own seed."""
    while True:
        number = seed_of("monai", seed, epoch) % 2**32
        torch.manual_seed(number)
        change.set_random_state(seed=number)
        yield from loader
        epoch += 1


def train(request: Request, run: Path) -> BasicUNet:
    """Train the network for the number of steps of the request, or what remains of them."""
    config = request.config
    sites = load_sites(config, find_all_cases(config))
    cases = [
        {"image": volume.image, "label": volume.label[None]}
        for site in sites
        for volume in site.train
    ]
    change = transforms(config)
    batch = config.training.batch_size
    loader = DataLoader(
        CacheDataset(cases, change, progress=False),
        batch_size=min(batch, len(cases)),
        shuffle=True,
    )
    torch.manual_seed(seed_of("monai network", config.seed) % 2**32)
    c = 8
    network = BasicUNet(
        out_channels=config.network.classes,
        features=(c, 2 * c, 4 * c, 8 * c, 16 * c, c),
        norm=("instance", {"affine": True}),
    )
    settings = config.training
    optimizer = torch.optim.SGD(
        network.parameters(), settings.learning_rate, settings.momentum, nesterov=True
    )
    rates = torch.optim.lr_scheduler.PolynomialLR(optimizer, request.steps, 0.9)
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
    parts = {"network": network, "optimizer": optimizer, "rates": rates}
    done, seconds = 0, 0.0
    if (run / CHECKPOINT).is_file():
        state = torch.load(run / CHECKPOINT, weights_only=True)
        done, seconds = state["done"], state["seconds"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    began = time.perf_counter()
    source = batches(loader, change, config.seed, done // len(loader))
    every = CHECKPOINT_EPOCHS * len(loader)
    while done < request.steps:
        found = next(source)
        loss = loss_of(network(found["image"].as_tensor()), found["label"].as_tensor())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.max_gradient_norm or 12.0)
        optimizer.step()
        rates.step()
        done += 1
        if done % every == 0 or done == request.steps:
            so_far = seconds + time.perf_counter() - began
            states = {name: part.state_dict() for name, part in parts.items()}
            torch.save({**states, "done": done, "seconds": so_far}, run / f"{CHECKPOINT}.part")
            os.replace(run / f"{CHECKPOINT}.part", run / CHECKPOINT)
            (run / TRAINING).write_text(json.dumps({"training_s": so_far, "steps": done}))
            print(f"step {done}, loss {loss.item():.4f}", flush=True)
    return network.eval()


@torch.inference_mode()
def predict(network: BasicUNet, request: Request, run: Path) -> None:
    """Write a label map on its own grid for every test image."""
    settings = request.config.preprocessing
    (run / PREDICTIONS).mkdir(exist_ok=True)
    for name, case in test_cases(request.config).items():
        image = read_channel(case.image, case.channel)
        prepared = prepare(image, settings)
        logits = sliding_window_inference(
            torch.from_numpy(prepared.array)[None],
            settings.patch_size[::-1],
            1,
            network,
            settings.overlap,
            mode="gaussian",
        )
        labels = sitk.GetImageFromArray(label_map(logits.softmax(1)[0].numpy(), prepared))
        labels.CopyInformation(image)
        sitk.WriteImage(labels, str(run / PREDICTIONS / f"{name}.nii.gz"))


def main() -> int:
    """Train, and predict the test images; return the exit code."""
    run = Path(sys.argv[1])
    request = read_request(run)
    predict(train(request, run), request, run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
