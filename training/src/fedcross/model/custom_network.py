"""Build and check the networks of other installed packages.

The entry point is called with ``in_channels``, ``classes`` and the arguments of the configuration. It
returns a `torch.nn.Module` that maps float32 (N, in_channels, D, H, W) to logits (N, classes, D, H, W).
"""

import torch
from torch import Tensor, nn

from fedcross.errors import PluginError
from fedcross.model.architecture import CustomArchitecture
from fedcross.runtime.plugins import explain_failure

DTYPES = (torch.float32, torch.int64)


def build_custom_network(architecture: CustomArchitecture) -> nn.Module:
    """Import and call a network's entry point, and check what it returns.

    Parameters
    ----------
    architecture
        The entry point and its arguments. Under ``torch.device("meta")`` the network is made there.

    Raises
    ------
    PluginError
        If the package cannot be used, the call fails, or the result is not a network whose state is
        float32 and int64 tensors with names.
    """
    plugin = architecture.plugin
    network = plugin.make(
        "network", in_channels=architecture.in_channels, classes=architecture.classes
    )
    subject = f"The network {plugin}"
    if not isinstance(network, nn.Module):
        raise PluginError(f"{subject} must be a torch.nn.Module, got {type(network).__name__}.")
    state = network.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.dtype not in DTYPES:
            found = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise PluginError(
                f"{subject} has {name} of {found}; only float32 and int64 are possible."
            )
    hidden = [name for name, _ in network.named_buffers() if name not in state]
    if hidden:
        raise PluginError(
            f"{subject} has the buffer {hidden[0]} with persistent=False, which no bundle keeps."
        )
    if next(network.parameters(), None) is None:
        raise PluginError(f"{subject} has no parameters to train.")
    return network


def draw_custom_network(architecture: CustomArchitecture, seed: int) -> nn.Module:
    """Build a network with the first weights that its own code draws.

    Parameters
    ----------
    architecture
        The network.
    seed
        Seed of PyTorch's generator of the CPU while the network is built; its state is restored
        afterwards. The same seed gives the same weights.

    Raises
    ------
    PluginError
        See `build_custom_network` and `check_outputs`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_custom_network(architecture)
        # As at a visit: the network is built without memory, and gets its weights afterwards.
        with torch.device("meta"):
            copied = build_custom_network(architecture)
        state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        copied.load_state_dict(state, assign=True)
        for is_training in (True, False):
            check_outputs(copied.train(is_training), architecture)
    return network


def check_outputs(network: nn.Module, architecture: CustomArchitecture) -> None:
    """Check that a network on the CPU maps a small patch to finite logits of the right shape.

    Raises
    ------
    PluginError
        If it fails, or its result is not a float32 tensor (1, classes, D, H, W) of finite numbers.
    """
    subject = f"The network {architecture.plugin}"
    depth, height, width = architecture.reduction[::-1]
    image = torch.zeros(1, architecture.in_channels, 2 * depth, height, width)
    image[..., :depth, :, :] = 1
    with explain_failure(subject), torch.no_grad():
        logits = network(image)
    if not isinstance(logits, Tensor):
        raise PluginError(f"{subject} must return one tensor, got {type(logits).__name__}.")
    expected = (1, architecture.classes, *image.shape[2:])
    if tuple(logits.shape) != expected or logits.dtype != torch.float32:
        raise PluginError(
            f"{subject} must map {tuple(image.shape)} to float32 {expected}, got {logits.dtype} "
            f"{tuple(logits.shape)}."
        )
    if not bool(torch.isfinite(logits).all()):
        raise PluginError(f"{subject} returns numbers that are not finite.")
