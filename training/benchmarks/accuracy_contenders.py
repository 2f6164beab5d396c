"""The contenders of `accuracy.py`, and the configurations of our methods among them."""

from accuracy_nnunet import VARIANTS
from federations import share_half

from fedcross.study.compare.variants import change_options, parse_methods, with_seed
from fedcross.training.config.configuration import TrainingConfig
from fedcross.training.planning.budget_rules import PROXIMAL_WEIGHT

SHARED = "fedcross-ens-shared"
SHORT = "fedcross-short"
PROXIMAL = "fedcross-proximal"
BF16 = "centralised-bf16"
TITLES = {
    "centralised": "Centralised",
    BF16: "Centralised, bf16",
    SHORT: "FedCross, visits of one epoch",
    "fedcross": "FedCross",
    PROXIMAL: "FedCross, proximal term",
    "fedavg": "FedAvg",
    "fedcross-ens": "FedCrossEns",
    SHARED: "FedCrossEns, half of the steps shared",
    "monai": "MONAI loop",
    "nnunet": "nnU-Net",
    "nnunet-1gb": "nnU-Net, planned for 1 GB",
    "nnunet-own-spacing": "nnU-Net, its own spacing",
    "nnunet-one-output": "nnU-Net, no deep supervision",
    "nnunet-residual": "nnU-Net, residual encoder",
}
OTHERS = ("monai", *VARIANTS)
LEFT_OUT = (BF16, *(name for name in VARIANTS if name != "nnunet"))


def our_configuration(contender: str, config: TrainingConfig) -> TrainingConfig:
    """Return the configuration of one of our methods, with the same budget for all.

    With shared rounds one member makes half of the visits, and its copies make the other half. With
    short visits the rounds are as many times more as the epochs of a visit are fewer. The proximal term
    is the one that ``fedcross plan`` proposes for visits of 12 steps.
    """
    if contender == SHORT:
        fedcross = our_configuration("fedcross", config)
        epochs = fedcross.method.local_epochs
        return change_options(
            fedcross,
            contender,
            method={"rounds": fedcross.method.rounds * epochs, "local_epochs": 1},
            training={"validate_every": fedcross.training.validate_every * epochs},
        )
    if contender == PROXIMAL:
        fedcross = our_configuration("fedcross", config)
        return change_options(fedcross, contender, method={"mu": PROXIMAL_WEIGHT})
    if contender == BF16:
        centralised = our_configuration("centralised", config)
        return change_options(centralised, contender, training={"precision": "bf16"})
    if contender != SHARED:
        (variant,) = parse_methods(contender, config)
        return with_seed(variant, config.seed)
    method = {
        "kind": "fedcross-ens",
        "local_epochs": config.method.local_epochs,
        **share_half(config.method.rounds, len(config.sites)),
    }
    return change_options(config, contender, method=method)
