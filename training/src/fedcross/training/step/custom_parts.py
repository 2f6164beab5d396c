"""The loss, the augmentation and the optimiser of other installed packages.

What an entry point returns is called only through the functions of this module, which check the results.
An error in it becomes one sentence that names the package.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fedcross.errors import PluginError
from fedcross.model.plugin import PluginReference
from fedcross.runtime.plugins import explain_failure
from fedcross.training.step.appearance import MOST_SEED

Missing = Sequence[Sequence[int]] | None
ChangeBatch = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""Augmentation of a batch: ``change(images, labels, generator)``.

Parameters
----------
images
    (N, C, D, H, W) float32.
labels
    (N, D, H, W) int64.
generator
    CPU generator; its state advances by one number.

Returns
-------
tuple of Tensor
    Images and labels of the same shapes and types on the same device.
"""


def make_custom_loss(plugin: PluginReference) -> Callable[[Tensor, Tensor, Missing], Tensor]:
    """Return a loss whose results are checked; see `fedcross.training.step.losses.Loss`.

    Parameters
    ----------
    plugin
        Its entry point is called with the arguments and returns ``loss(logits, target, missing)``.

    Raises
    ------
    PluginError
        If the package cannot be used. The loss raises it if the package's code fails or returns
        something else than a scalar with a gradient.
    """
    compute = plugin.make("loss")
    subject = f"The loss {plugin}"

    def loss(logits: Tensor, target: Tensor, missing: Missing = None) -> Tensor:
        with explain_failure(subject, torch.cuda.OutOfMemoryError):
            result = compute(logits, target, missing)
        if not isinstance(result, Tensor) or result.dim() or not result.is_floating_point():
            found = tuple(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise PluginError(
                f"{subject} must return a scalar of a floating-point type, got {found}."
            )
        if logits.requires_grad and not result.requires_grad:
            raise PluginError(f"{subject} returns a number without a gradient.")
        return result.float()

    return loss


def make_custom_augmentation(plugin: PluginReference | None) -> ChangeBatch | None:
    """Return an augmentation whose results are checked; None without a plugin.

    Parameters
    ----------
    plugin
        Its entry point is called with the arguments and returns ``change(image, label, generator)``,
        which maps one patch, (C, D, H, W) float32 and (D, H, W) int64, to a patch of the same shapes.
        The generator is on the CPU and belongs to this patch alone.

    Raises
    ------
    PluginError
        If the package cannot be used. The augmentation raises it if the package's code fails or
        returns something else.
    """
    if plugin is None:
        return None
    change = plugin.make("augmentation")
    subject = f"The augmentation {plugin}"

    def change_batch(
        images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        seed = int(torch.randint(MOST_SEED, (1,), generator=generator))
        pairs = []
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            own = torch.Generator().manual_seed(seed + index)
            with explain_failure(subject, torch.cuda.OutOfMemoryError):
                changed = change(image, label, own)
            pairs.append(_check_patch(subject, changed, image, label))
        return torch.stack([image for image, _ in pairs]), torch.stack([each for _, each in pairs])

    return change_batch


def _check_patch(
    subject: str, changed: object, image: Tensor, label: Tensor
) -> tuple[Tensor, Tensor]:
    if isinstance(changed, tuple) and len(changed) == 2:
        alike = [
            isinstance(new, Tensor)
            and (new.shape, new.dtype, new.device) == (old.shape, old.dtype, old.device)
            for new, old in zip(changed, (image, label), strict=True)
        ]
        if all(alike):
            return changed
    raise PluginError(
        f"{subject} must return an image and a label like those it gets, {image.dtype} "
        f"{tuple(image.shape)} and {label.dtype} {tuple(label.shape)}."
    )


def make_custom_optimizer(
    plugin: PluginReference, parameters: Sequence[nn.Parameter], rate: float
) -> Optimizer:
    """Call an optimiser's entry point with parameters, ``lr`` and the arguments.

    Raises
    ------
    PluginError
        If the package cannot be used, or its result is not an optimiser of these parameters.
    """
    optimizer = plugin.make("optimizer", list(parameters), lr=rate)
    subject = f"The optimizer {plugin}"
    if not isinstance(optimizer, Optimizer):
        raise PluginError(
            f"{subject} must be a torch.optim.Optimizer, got {type(optimizer).__name__}."
        )
    held = [each for group in optimizer.param_groups for each in group["params"]]
    if {id(each) for each in held} != {id(each) for each in parameters}:
        raise PluginError(f"{subject} does not hold exactly the parameters that it gets.")
    return optimizer


def find_optimizer_slots(plugin: PluginReference) -> Mapping[str, bool]:
    """Return the names of an optimiser's state tensors, and whether each is a scalar.

    The optimiser makes two steps on two small parameters.

    Raises
    ------
    PluginError
        If the package cannot be used, or the state has something else than float32 tensors that are
        scalars or have the shape of their parameter.
    """
    subject = f"The optimizer {plugin}"
    parameters = [nn.Parameter(torch.ones(shape)) for shape in ((2, 1, 3, 3, 3), (2,))]
    optimizer = make_custom_optimizer(plugin, parameters, 0.01)
    for _ in range(2):
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, 0.5)
        with explain_failure(subject):
            optimizer.step()
    slots: dict[str, bool] = {}
    names = {name for state in optimizer.state.values() for name in state}
    for parameter, name in product(parameters, sorted(names)):
        value = optimizer.state[parameter].get(name)
        is_tensor = isinstance(value, Tensor) and value.dtype == torch.float32
        if not is_tensor or value.shape not in (parameter.shape, ()) or "." in str(name):
            raise PluginError(
                f"{subject} keeps {str(name)!r}; a member takes along only float32 tensors that every "
                "parameter has, scalars or of the parameter's shape."
            )
        if slots.setdefault(name, not value.dim()) == bool(value.dim()):
            raise PluginError(
                f"{subject} keeps {name!r} in two forms, as a scalar and as a tensor."
            )
    return slots
