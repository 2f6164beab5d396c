"""Rules for rounds, epochs and the training method from a number of steps. Numbers only.

A step is one update of one model. The steps of a run are those of all its members together: they are
what computes. Rounds are what waits: in a round every member makes one visit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

STEPS_PER_MEMBER = 1_536
"""Steps of every member unless the number of steps is given: those of the measurements below."""

ENOUGH_STEPS = 1_000
"""Steps that a model needs before a split into several members pays, see `suggest_method`."""

COPY_STEPS = 192
"""Steps of every copy after a shared part, in the measurements."""

VISIT_STEPS = 4
"""Steps of one visit.

A model forgets the other sites during a visit, and the more so the longer the visit. Measured with
FedCross and 1,536 steps on the synthetic pelves (`fedcross data phantom --anatomy pelvis`, voxels of
2.5 x 2.5 x 3 mm, patches of 48 x 48 x 16, preset strong, one seed): mean test Dice 0.751 with 384 visits
of 4 steps and 0.563 with 128 visits of 12 steps; 0.751 with pooled cases.
"""

LEARNING_RATE, MOMENTUM = 0.02, 0.9
"""Of SGD in all measurements below."""

PROXIMAL_VISIT_STEPS = (8, 24)
"""Fewest and most steps of a visit for which the proximal term is proposed, see `PROXIMAL_WEIGHT`."""

PROXIMAL_WEIGHT = 1.0
"""Weight mu of the proximal term that is proposed with this learning rate and momentum.

It keeps the weights of a member near those that came to the site (FedProx: Li et al., MLSys 2020), so
that the member forgets less of the other sites. It also makes a visit shorter in effect, and learning
slower. Measured on the same pelves, 1,536 steps in all, mean test Dice:

=====================================  ====  =======  ======
method                                 seed  without  mu = 1
=====================================  ====  =======  ======
FedCross, 384 visits of 4 steps        1     0.702    0.710
FedCross, 128 visits of 12 steps       1     0.541    0.694
FedCross, 128 visits of 12 steps       2     0.558    0.742
FedCross, 64 visits of 24 steps        1     0.442    0.660
FedCross, 32 visits of 48 steps        1     0.555    0.465
FedCrossEns, 32 visits of 12 steps     1     0.431    0.597
=====================================  ====  =======  ======

With 12 steps, mu = 2 and mu = 5 had 0.692 and 0.635 (seed 1); with 48 steps, mu = 0.3 had 0.544. With
AdamW it did not help, see `docs/training.md`.
"""

VALIDATIONS = 32
"""Validations of a run, about."""

MAX_PATCHES_PER_CASE = 4  # the FedCross authors' value


@dataclass(frozen=True)
class MethodAdvice:
    """The method that suits a number of steps.

    Attributes
    ----------
    kind
        ``fedcross`` or ``fedcross-ens``.
    shared_share
        Share of the rounds in which one member walks alone before it is copied; 0 for none.
    member_steps
        Steps that each final model has behind it.
    """

    kind: str
    shared_share: float
    member_steps: int

    def shared_rounds(self, rounds: int) -> int:
        """Return the number of rounds in which one member walks alone; less than all rounds."""
        return min(round(self.shared_share * rounds), rounds - 1)


def suggest_method(steps: int, members: int) -> MethodAdvice:
    """Choose between FedCross, FedCrossEns, and FedCrossEns after a shared part.

    What decides is the number of steps of each model. Measured on 32 T2 prostate MR volumes of four
    hospitals, 1,536 steps in all unless noted, visits of 12 steps, mean test Dice, one seed
    (differences below 0.03 say nothing):

    ============================================================  ===============  =====
    method                                                        steps per model  Dice
    ============================================================  ===============  =====
    FedCross, one member                                          1,536            0.769
    FedCrossEns, four members; 6,144 steps in all                 1,536            0.754
    the same after 1,152 steps of each member                     1,152            0.712
    one member for 768 steps, then four copies of 192 steps each  960              0.704
    FedCrossEns, four members                                     384              0.554
    ============================================================  ===============  =====

    So a model needs about 1,000 steps, whoever made them. The rule:

    - at least 1,000 steps for every member: FedCrossEns;
    - else, if 1,000 shared steps leave at least 192 to every copy: one member makes 1,000 steps, then
      its copies share the others;
    - else FedCross: one good model is better than several poor ones.

    Parameters
    ----------
    steps
        Steps of all members together.
    members
        Number of members of the ensemble.
    """
    if members == 1:
        return MethodAdvice("fedcross", 0.0, steps)
    if steps >= ENOUGH_STEPS * members:
        return MethodAdvice("fedcross-ens", 0.0, steps // members)
    copy_steps = (steps - ENOUGH_STEPS) // members
    if copy_steps >= COPY_STEPS:
        share = ENOUGH_STEPS / (ENOUGH_STEPS + copy_steps)
        return MethodAdvice("fedcross-ens", share, ENOUGH_STEPS + copy_steps)
    return MethodAdvice("fedcross", 0.0, steps)


@dataclass(frozen=True)
class Visits:
    """How the steps of a model are divided.

    Attributes
    ----------
    rounds, local_epochs, patches_per_case
        Options of ``[method]`` and ``[training]``.
    epoch_steps
        Mean number of steps of an epoch at a site.
    """

    rounds: int
    local_epochs: int
    patches_per_case: int
    epoch_steps: float

    @property
    def visit_steps(self) -> float:
        """Mean number of steps of one visit."""
        return self.local_epochs * self.epoch_steps


def divide_steps(
    model_visits_steps: float,
    train: Sequence[int],
    batch_size: int,
    *,
    rounds: int | None = None,
    local_epochs: int | None = None,
    patches_per_case: int | None = None,
) -> Visits:
    """Divide the steps that one model makes into rounds of one visit each.

    Unless the number of rounds is given, a visit has about `VISIT_STEPS` steps, and the rounds are whole
    Latin blocks, in which a member visits every site once.

    Parameters
    ----------
    model_visits_steps
        Steps of one model.
    train
        Training cases of the place of each visit: of every site, or all of them as one number for a
        method that pools the cases.
    batch_size
        Patches per step.
    rounds, local_epochs, patches_per_case
        What is fixed already.
    """
    wanted = VISIT_STEPS if rounds is None else max(1.0, model_visits_steps / rounds)
    patches = patches_per_case or _choose_patches(wanted, train, batch_size)
    epoch = sum(math.ceil(cases * patches / batch_size) for cases in train) / len(train)
    epochs = max(1, round(wanted / epoch)) if local_epochs is None else local_epochs
    if rounds is None:
        blocks = model_visits_steps / max(1.0, epochs * epoch) / len(train)
        rounds = max(1, round(blocks)) * len(train)
    return Visits(rounds, epochs, patches, epoch)


def _choose_patches(visit_steps: float, train: Sequence[int], batch_size: int) -> int:
    """Patches per case so that an epoch is no longer than a visit, at most 4 and at least 1."""
    cases = sum(train) / len(train)
    return max(1, min(MAX_PATCHES_PER_CASE, math.floor(visit_steps * batch_size / cases)))
