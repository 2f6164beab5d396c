"""Propose the options that a configuration leaves open, from the figures of its federation.

The rules are in `grid_rules`, `network_rules`, `intensity_rules` and `budget_rules`. What the
configuration states is kept, and the other options follow from it.
"""

from collections.abc import Mapping
from typing import Any

from fedcross.errors import ConfigError
from fedcross.strategies.cross import CrossMethod
from fedcross.strategies.methods.fedcross_ens import FedCrossEns
from fedcross.strategies.registry import make_method
from fedcross.training.planning.budget_rules import (
    ENOUGH_STEPS,
    LEARNING_RATE,
    MOMENTUM,
    PROXIMAL_VISIT_STEPS,
    PROXIMAL_WEIGHT,
    STEPS_PER_MEMBER,
    VALIDATIONS,
    MethodAdvice,
    Visits,
    divide_steps,
    suggest_method,
)
from fedcross.training.planning.figures import FederationFigures
from fedcross.training.planning.proposal import Budget, Proposal
from fedcross.training.planning.propose_grid import propose_grid, propose_intensity

SECTIONS = ("method", "network", "preprocessing", "training")  # which a plan completes


def propose(
    given: Mapping[str, Mapping[str, Any]],
    figures: FederationFigures,
    budget: Budget,
    classes: int,
) -> Proposal:
    """Propose the options that are missing.

    Parameters
    ----------
    given
        The sections `SECTIONS` of a valid configuration, as far as it has them.
    figures
        Figures of the federation.
    budget
        Memory, steps and rounds.
    classes
        Output classes, background included.

    Raises
    ------
    ConfigError
        If a number of the budget is also given in the configuration.
    """
    proposal = Proposal({name: dict(given.get(name, {})) for name in SECTIONS})
    propose_grid(proposal, figures, budget.memory_gb, classes)
    propose_intensity(proposal, figures)
    _propose_optimiser(proposal)
    _propose_method(proposal, figures, budget)
    return proposal


def _propose_optimiser(proposal: Proposal) -> None:
    measured = "as in the measurements of the plan"
    proposal.offer("training", "foreground_fraction", 0.5, f"{measured}; nnU-Net takes a third")
    if proposal.section("training").get("optimizer", "sgd") == "sgd":
        proposal.offer("training", "learning_rate", LEARNING_RATE, measured)
        reason = f"{measured}; the FedCross authors' 0.99 needs many thousand steps"
        proposal.offer("training", "momentum", MOMENTUM, reason)


def _propose_method(proposal: Proposal, figures: FederationFigures, budget: Budget) -> None:
    """Method, rounds, epochs and patches per case, from the number of steps."""
    method, training = proposal.section("method"), proposal.section("training")
    sites = len(figures.train)
    members = method.get("members") or sites
    fixed = _check_fixed(method, budget)
    steps = budget.steps or STEPS_PER_MEMBER * members
    advice = suggest_method(steps, members)
    kind, reason = FedCrossEns.kind, "rounds and epochs are given"
    if not fixed:
        kind, reason = advice.kind, _why(advice, members)
    kind = proposal.offer("method", "kind", kind, reason)
    chosen = make_method(**{"kind": kind, **method})
    shares = not fixed and kind == FedCrossEns.kind and advice.shared_share > 0
    lane = advice.member_steps if shares else steps / chosen.visits_per_round(sites)
    visits = divide_steps(
        lane,
        (sum(figures.train),) if chosen.pools_cases else figures.train,
        training["batch_size"],
        rounds=method.get("rounds") or budget.rounds,
        local_epochs=method.get("local_epochs"),
        patches_per_case=training.get("patches_per_case"),
    )
    rounds = _propose_visits(proposal, visits, lane, sites)
    if isinstance(chosen, CrossMethod):
        _propose_proximal_term(proposal, visits.visit_steps)
    if shares:
        reason = "one member makes the first 1,000 steps, then its copies part ways"
        proposal.offer("method", "shared_rounds", advice.shared_rounds(rounds), reason)
    proposal.notes += (
        _notes_fixed(rounds * visits.visit_steps)
        if fixed
        else [_note(advice, members, steps, rounds)]
    )


def _propose_visits(proposal: Proposal, visits: Visits, steps: float, sites: int) -> int:
    """Propose the rounds and what a round is; return the number of rounds that holds."""
    each = f"visits of {visits.visit_steps:.3g} steps on average"
    rounds: int = proposal.offer("method", "rounds", visits.rounds, f"{steps:,.0f} steps in {each}")
    proposal.offer("method", "local_epochs", visits.local_epochs, each)
    reason = f"epochs of {visits.epoch_steps:.3g} steps on average"
    proposal.offer("training", "patches_per_case", visits.patches_per_case, reason)
    every = min(rounds, sites * max(1, round(rounds / sites / VALIDATIONS)))
    reason = f"about {rounds / every:.0f} validations, each after whole Latin blocks"
    proposal.offer("training", "validate_every", every, reason)
    return rounds


def _propose_proximal_term(proposal: Proposal, visit_steps: float) -> None:
    first, last = PROXIMAL_VISIT_STEPS
    training = proposal.section("training")
    rate, momentum = training.get("learning_rate"), training.get("momentum")
    is_sgd = training.get("optimizer", "sgd") == "sgd"
    if is_sgd and (rate, momentum) == (LEARNING_RATE, MOMENTUM) and first <= visit_steps <= last:
        reason = "keeps the weights near those that came to the site, so that less is forgotten"
        proposal.offer("method", "mu", PROXIMAL_WEIGHT, reason)


def _check_fixed(method: Mapping[str, Any], budget: Budget) -> bool:
    """Whether the configuration fixes the number of steps; ConfigError if the budget differs."""
    if "rounds" in method and budget.rounds is not None:
        raise ConfigError(
            f"method.rounds is given, {method['rounds']}, and rounds = {budget.rounds} as well.",
            "Leave out one of them.",
        )
    fixed = {"rounds", "local_epochs"} <= method.keys()
    if fixed and budget.steps is not None:
        raise ConfigError(
            f"method.rounds and method.local_epochs are given, which fix the number of steps, and "
            f"steps = {budget.steps} as well.",
            "Leave out one of them.",
        )
    return fixed


def _why(advice: MethodAdvice, members: int) -> str:
    if advice.kind == FedCrossEns.kind:
        return f"each of {members} models has {advice.member_steps:,} steps; about 1,000 are enough"
    return f"{advice.member_steps:,} steps are too few for {members} models of about 1,000 each"


def _notes_fixed(steps: float) -> list[str]:
    """What the given rounds and epochs mean for a model."""
    made = f"Rounds and epochs are given: a model makes {steps:,.0f} steps"
    if steps >= ENOUGH_STEPS:
        return [f"{made}."]
    return [
        f"{made}, fewer than the about {ENOUGH_STEPS:,} that it needs.",
        "Give more rounds. Or leave kind, rounds and local_epochs out: the plan then proposes them.",
    ]


def _note(advice: MethodAdvice, members: int, steps: int, rounds: int) -> str:
    """Which of FedCross, FedCrossEns and its shared part suits the steps and rounds."""
    each = (
        f"A model needs about {ENOUGH_STEPS:,} steps; with {steps:,} steps in all {members} members of "
        f"FedCrossEns would have {steps // members:,} steps each."
    )
    if advice.kind != FedCrossEns.kind:
        return f"{each} FedCross, one member, suits them."
    if advice.shared_share:
        return (
            f"{each} FedCrossEns with a shared part suits them: {advice.shared_rounds(rounds)} of "
            f"{rounds} rounds with one member, then {members} copies."
        )
    return f"{each} FedCrossEns suits them."
