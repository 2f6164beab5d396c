"""Networks without neutral parameters (0 or 1), so that a test fails if a rewrite ignores one."""

from functools import cache

import torch
from torch import nn

from fedcross.model.architecture import Architecture
from fedcross.model.networks import build_network, initialise


@cache
def randomised_network(architecture: Architecture, seed: int = 0) -> nn.Module:
    """Return a network in float64 and evaluation mode; batch norms have statistics of random images.

    The network is cached: copy it before changing it.
    """
    network = build_network(architecture)
    generator = torch.Generator().manual_seed(seed)
    initialise(network, generator)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.5, generator=generator)
            elif parameter.ndim == 1:  # weight of a normalisation
                parameter.uniform_(0.5, 1.5, generator=generator)
        if architecture.norm == "batch":
            images = torch.randn(2, architecture.in_channels, 32, 32, 32, generator=generator)
            network.train()(images * 2 + 1)
    return network.eval().requires_grad_(False).double()
