"""The methods, each as its algorithm.

A strategy is a generator: it takes the members as they stand, asks for visits, and yields the members
after every round. Whoever runs it (an engine) decides where a visit happens, keeps what is yielded
safe, and may begin again from there: nothing else needs to be remembered, for all that is random is
drawn from the run's seed and the round's number.

Equal budget: with equal `rounds` and `local_epochs` every training case is trained on in ``rounds x
local_epochs`` epochs altogether, by whichever member. That holds for fedcross-ens with as many
members as sites, for the averaging methods, for local, and for centralised, whose epoch goes through
the cases of all sites, so that its one model makes as many steps as all members of the others
together. A single FedCross member sees as many only in `sites` times as many rounds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from fedcross.strategies.averaging import weighted_mean
from fedcross.strategies.member import OPTIMIZER, WEIGHTS, MemberState, new_member, part
from fedcross.strategies.method_config import MethodKind
from fedcross.strategies.plan import Plan
from fedcross.train.config.configuration import TrainingConfig

POOLED = -1  # the "site" that has the cases of all
Members = tuple[MemberState, ...]
# Each member trains at the site of the same place in the second list, in the round of that index; the
# engine may let them do so side by side. In order: the member after, or None if the visit failed.
Visits = Callable[[Sequence[MemberState], Sequence[int], int], Iterable[MemberState | None]]
Run = Callable[[Members, Plan, Visits, range], Iterator[Members]]


def fedcross(members: Members, plan: Plan, visits: Visits, rounds: range) -> Iterator[Members]:
    """Every member goes on at the site that the schedule names; nothing is averaged, ever.

    FedCross has one member, FedCrossEns several (Xu et al., MIDL 2023).
    """
    schedule = plan.schedule or ()
    for round_index in rounds:
        members = _latest(members, visits(members, schedule[round_index], round_index))
        yield members


def fedavg(members: Members, plan: Plan, visits: Visits, rounds: range) -> Iterator[Members]:
    """Every site trains a copy of the one model, whose next weights are the copies' mean.

    McMahan et al., AISTATS 2017; with a proximal term in the visits FedProx (Li et al., MLSys 2020).
    """
    (model,) = members
    for round_index in rounds:
        copies = [replace(model, index=site) for site in plan.sites]
        model = _mean(model, visits(copies, plan.sites, round_index), plan)
        yield (model,)


def fedbn(members: Members, plan: Plan, visits: Visits, rounds: range) -> Iterator[Members]:
    """As FedAvg, but every site has its own normalisation layers, which stay (Li et al., ICLR 2021)."""
    for round_index in rounds:
        trained = list(visits(members, plan.sites, round_index))
        mean = _mean(members[0], trained, plan)
        members = tuple(_given(member, mean, plan) for member in _latest(members, trained))
        yield members


def local(members: Members, plan: Plan, visits: Visits, rounds: range) -> Iterator[Members]:
    """Every site trains a model of its own; nothing is exchanged."""
    for round_index in rounds:
        members = _latest(members, visits(members, plan.sites, round_index))
        yield members


def centralised(members: Members, plan: Plan, visits: Visits, rounds: range) -> Iterator[Members]:
    """One model trains on the cases of all sites, as if they could be brought together."""
    for round_index in rounds:
        members = _latest(members, visits(members, [POOLED], round_index))
        yield members


STRATEGIES: dict[MethodKind, Run] = {
    "fedcross": fedcross,
    "fedcross-ens": fedcross,
    "fedavg": fedavg,
    "fedprox": fedavg,
    "fedbn": fedbn,
    "local": local,
    "centralised": centralised,
}


def first_members(config: TrainingConfig) -> Members:
    """The members before the first round.

    Each draws its own weights, but for FedBN's, which are one model with several sites' layers.
    """
    if config.method.kind == "fedbn":
        model = new_member(0, config.network, config.seed)
        return tuple(replace(model, index=k) for k in range(config.members))
    return tuple(new_member(k, config.network, config.seed) for k in range(config.members))


def _latest(members: Members, trained: Iterable[MemberState | None]) -> Members:
    """The members after their visits; one whose visit failed is as it was."""
    return tuple(after or before for before, after in zip(members, trained, strict=True))


def _mean(model: MemberState, trained: Iterable[MemberState | None], plan: Plan) -> MemberState:
    """The mean of what may leave the sites, over those that trained; the model if none did."""
    tensors = weighted_mean(
        (plan.weight(site), _shared(member, plan))
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


def _given(member: MemberState, mean: MemberState, plan: Plan) -> MemberState:
    """The member with the mean in place of everything that does not stay at its site."""
    own = {name: tensor for name, tensor in member.state().items() if plan.stays(name)}
    tensors = {**own, **_shared(mean, plan)}
    if plan.method.optimizer_state == "reset":
        tensors = {name: t for name, t in tensors.items() if not name.startswith(OPTIMIZER)}
    return replace(member, weights=part(tensors, WEIGHTS), optimizer=part(tensors, OPTIMIZER))


def _shared(member: MemberState, plan: Plan) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in member.state().items() if not plan.stays(name)}
