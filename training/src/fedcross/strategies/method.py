"""The interface of a training method; the methods themselves are the files of `methods`.

A method is one class. Its fields are the options of the configuration's section ``[method]``, its
class attributes state what kind of method it is, and `Method.run` is its algorithm. Reading a
configuration needs no PyTorch, so modules that import it are imported inside functions here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from fedcross.runtime.stable_record import StableRecord
from fedcross.strategies.recorded_options import RECORDED_OPTIONS
from fedcross.strategies.schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fedcross.model.architecture import Architecture
    from fedcross.strategies.member import MemberState
    from fedcross.strategies.plan import Plan

Members = tuple["MemberState", ...]
Visits = Callable[[Sequence["MemberState"], Sequence[int], int], Iterable["MemberState | None"]]
"""Train members at sites: ``visits(members, sites, round_index)``.

Member k trains at site ``sites[k]``; visits of one call may run at the same time. The result has one
entry per member, in the same order: the member after its visit, or None if the visit failed.
"""
ALL_SITES: Final = -1
"""Site index that stands for the training cases of all sites together."""


class Method(StableRecord, ABC):
    """A training method and its options.

    Attributes
    ----------
    kind : str
        Value of ``kind`` in the configuration; a class attribute, the same for all objects.
    title : str
        Name for people.
    is_personal : bool
        Whether member k is the model of site k, and is validated at that site only.
    pools_cases : bool
        Whether the method trains on the cases of all sites in one place. Such a method cannot run
        across hospitals.
    makes_up_visits : bool
        Whether a member makes up a visit that failed, at the end of a block of rounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: ClassVar[str]
    title: ClassVar[str]
    is_personal: ClassVar[bool] = False
    pools_cases: ClassVar[bool] = False
    makes_up_visits: ClassVar[bool] = False

    rounds: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=50, description="Number of communication rounds; 50 in the paper."
    )
    local_epochs: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=32,
        description="Number of epochs that a member trains at a site per round; 32 in the paper.",
    )
    average: Literal["none", "ema", "soup"] = Field(
        default="none",
        description="Predict with an average of each member over its own last rounds: ema is "
        "exponential, soup has equal shares.",
    )
    average_from: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="Share of the rounds after which that average begins."
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.8, description="Share of the old average that ema keeps in a round."
    )

    @abstractmethod
    def run(
        self, members: Members, plan: "Plan", visits: Visits, rounds: range
    ) -> Iterator[Members]:
        """Train the members and yield them after every round.

        The algorithm keeps no state of its own between rounds: what is random is drawn from the run's
        seed and the round's index. It can therefore continue from the members of any round.

        Parameters
        ----------
        members
            Members before the first of `rounds`.
        plan
            Schedule, numbers of cases, and what stays at a site.
        visits
            Trains members at sites.
        rounds
            Indices of the rounds to run, from 0.
        """

    @abstractmethod
    def member_count(self, sites: int) -> int:
        """Return the number of models that the method trains at a number of sites."""

    def visits_per_round(self, sites: int) -> int:
        """Return the number of visits in a round in which all members train."""
        return self.member_count(sites)

    def visits_before(self, round_index: int, sites: int) -> int:
        """Return the number of visits in the rounds before one."""
        return round_index * self.visits_per_round(sites)

    @property
    def first_full_round(self) -> int:
        """Index of the first round in which all members train."""
        return 0

    def rounds_for_budget(self, rounds: int, sites: int) -> int:
        """Return the number of rounds in which every site is visited `rounds` times."""
        return rounds

    def first_member_count(self, sites: int) -> int:
        """Return the number of members before the first round."""
        return self.member_count(sites)

    def first_members(self, network: "Architecture", sites: int, seed: int) -> Members:
        """Return the members before the first round; each has weights of its own."""
        from fedcross.strategies.member import new_member

        return tuple(new_member(k, network, seed) for k in range(self.member_count(sites)))

    def make_schedule(self, sites: int, seed: int, first_round: int = 0) -> Schedule | None:
        """Return the rounds x members table of site indices; None if the method has no schedule.

        Parameters
        ----------
        sites
            Number of sites.
        seed
            Seed of the random order.
        first_round
            Index of the round of the first row. The table has a row for it and for every later round.
        """
        return None

    def fix_member_count(self, sites: int) -> Self:
        """Return the method with the number of members that it has at `sites` sites.

        A run to which sites are added keeps its number of members.
        """
        return self

    def absent_sites(self, round_index: int, sites: int, seed: int) -> frozenset[int]:
        """Return the indices of the sites that take no part in a round."""
        return frozenset()

    def stays_at_site(self, tensor: str, normalisation: frozenset[str]) -> bool:
        """Return whether a tensor of a member never leaves a site.

        Parameters
        ----------
        tensor
            Name of the tensor in `fedcross.strategies.member.MemberState.to_tensors`.
        normalisation
            Names of the tensors of the network's normalisation layers.
        """
        return False

    @property
    def weights_by_cases(self) -> bool:
        """Whether the method needs every site's number of training cases."""
        return False

    def check_network(self, name: str, normalisation: frozenset[str]) -> None:
        """Raise `ConfigError` if the method cannot train the network `name`."""

    def proximal_weight(self, rounds_done: int) -> float:
        """Return mu of the proximal term for a member with so many visits; 0 for no such term."""
        return 0.0

    def distillation_weight(self, rounds_done: int) -> float:
        """Return the weight of the distillation for a member with so many visits; 0 for none."""
        return 0.0

    @property
    def distillation_temperature(self) -> float:
        """The temperature of the distillation."""
        return 1.0

    def compute_gradient(
        self,
        network: "nn.Module",
        evaluate: "Callable[[], Tensor]",
    ) -> "Tensor":
        """Leave the gradient of one training step in the network's parameters.

        Parameters
        ----------
        network
            The network that trains.
        evaluate
            Computes the loss of the step's batch and its gradient at the present weights. The
            gradient replaces the one before.

        Returns
        -------
        Tensor
            Loss of the batch, a scalar.
        """
        return evaluate()

    @classmethod
    def option_names(cls) -> frozenset[str]:
        """Return the names of the options, without ``kind``."""
        return frozenset(cls.model_fields)

    @model_validator(mode="before")
    @classmethod
    def _without_kind(cls, values: Any) -> Any:
        """Drop ``kind``, which has chosen the class already."""
        if isinstance(values, Mapping):
            return {name: value for name, value in values.items() if name != "kind"}
        return values

    @model_serializer(mode="wrap")
    def _record(self, options: SerializerFunctionWrapHandler) -> dict[str, Any]:
        own = self._without_unused(options(self))
        return {"kind": self.kind, **RECORDED_OPTIONS, **own}


def replace_trained(members: Members, trained: "Iterable[MemberState | None]") -> Members:
    """Return the members after their visits; a member whose visit failed stays as it was."""
    return tuple(after or before for before, after in zip(members, trained, strict=True))
