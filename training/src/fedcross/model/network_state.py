"""The state of a network as tensors in which every tensor has one name.

Some networks (DynUNet) contain a module under several names. Its tensors then have several names in
PyTorch's state dict. Here each has its first name only, so that it is stored, sent and averaged once.
"""

from collections.abc import Mapping

from torch import Tensor, nn


def get_state(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's parameters and buffers, each under its first name.

    The tensors share the memory of the network.
    """
    tensors = keep_first_names(network.state_dict(keep_vars=True))
    return {name: tensor.detach() for name, tensor in tensors.items()}


def set_state(network: nn.Module, state: Mapping[str, Tensor], *, assign: bool = False) -> None:
    """Replace a network's parameters and buffers by those of a state.

    Parameters
    ----------
    network
        The network.
    state
        As `get_state` returns it; further names of a tensor are ignored.
    assign
        Whether the network takes the tensors themselves, and not their values. A network on the
        ``meta`` device needs it.

    Raises
    ------
    KeyError
        If the state lacks a tensor.
    RuntimeError
        If a shape differs.
    """
    names = first_names(network.state_dict(keep_vars=True))
    network.load_state_dict({name: state[first] for name, first in names.items()}, assign=assign)


def keep_first_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors without the further names of those that have several."""
    first = first_names(tensors)
    return {name: tensor for name, tensor in tensors.items() if first[name] == name}


def first_names(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Map every name of a tensor to its first name.

    Parameters
    ----------
    tensors
        Tensors by their names; one with several names is the same object under each, as in a state dict
        with ``keep_vars=True``.
    """
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in tensors.items()}
