"""Methods whose models are averaged over the sites after every round: options and arithmetic."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fedcross.strategies.federated_method import FederatedMethod

if TYPE_CHECKING:
    from torch import Tensor

    from fedcross.strategies.member import MemberState
    from fedcross.strategies.plan import Plan


class AggregatingMethod(FederatedMethod):
    """A method that averages what the sites trained."""

    weighting: Literal["cases", "equal"] = Field(
        default="cases",
        description="Weights of the sites in the average: their numbers of training cases, or all "
        "the same.",
    )
    optimizer_state: Literal["average", "reset"] = Field(
        default="average",
        description="What happens to the momentum: it is averaged as the weights are, or set to zero "
        "after every round.",
    )

    @property
    def weights_by_cases(self) -> bool:
        """Whether the average needs every site's number of training cases."""
        return self.weighting == "cases"

    def visits_per_round(self, sites: int) -> int:
        """Return the number of visits in a round: one at every site."""
        return sites

    def stays_at_site(self, tensor: str, normalisation: frozenset[str]) -> bool:
        """Return whether a tensor never leaves a site; see `Method.stays_at_site`."""
        from fedcross.strategies.member import OPTIMIZER

        return self.optimizer_state == "reset" and tensor.startswith(OPTIMIZER)


def average_members(
    model: "MemberState", trained: "Iterable[MemberState | None]", plan: "Plan"
) -> "MemberState":
    """Return the mean of the members that trained, over the tensors that may leave the sites.

    Parameters
    ----------
    model
        The common model before the round; returned as it is if no member trained.
    trained
        One entry per site, in the order of the sites; None if the visit failed.
    plan
        Weights of the sites, and which tensors stay.
    """
    from fedcross.strategies.averaging import weighted_mean
    from fedcross.strategies.member import OPTIMIZER, WEIGHTS, part

    tensors = weighted_mean(
        (plan.weight(site), _shared_tensors(member, plan))
        for site, member in zip(plan.sites, trained, strict=True)
        if member is not None
    )
    if not tensors:
        return model
    return replace(
        model,
        weights=part(tensors, WEIGHTS),
        optimizer=part(tensors, OPTIMIZER),
        epochs_done=model.epochs_done + plan.method.local_epochs,
        rounds_done=model.rounds_done + 1,
        last_site=None,
    )


def insert_mean(
    member: "MemberState", mean: "MemberState", plan: "Plan", *, keep_momentum: bool
) -> "MemberState":
    """Return the member with the mean in place of every tensor that does not stay at its site."""
    from fedcross.strategies.member import OPTIMIZER, WEIGHTS, part

    own = {name: tensor for name, tensor in member.state().items() if plan.stays(name)}
    tensors = {**own, **_shared_tensors(mean, plan)}
    if not keep_momentum:
        tensors = {name: t for name, t in tensors.items() if not name.startswith(OPTIMIZER)}
    return replace(member, weights=part(tensors, WEIGHTS), optimizer=part(tensors, OPTIMIZER))


def _shared_tensors(member: "MemberState", plan: "Plan") -> "dict[str, Tensor]":
    return {name: tensor for name, tensor in member.state().items() if not plan.stays(name)}
