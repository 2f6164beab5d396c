"""A record does not change when options are added that are not used."""

from typing import ClassVar

from pydantic import BaseModel

from fedcross.runtime.stable_record import StableRecord


class First(StableRecord):
    rate: float = 0.1


class Second(First):
    added_later: ClassVar[tuple[str, ...]] = ("warmup", "weights")

    warmup: int = 0
    weights: tuple[float, ...] = ()
    steps: int = 3


class Third(Second):
    added_later: ClassVar[tuple[str, ...]] = ("patience",)

    patience: int | None = None


class Whole(BaseModel):
    part: Second = Second()


def test_an_option_added_later_is_recorded_only_if_it_is_not_the_default() -> None:
    assert Second().model_dump() == {"rate": 0.1, "steps": 3}
    assert Second(warmup=2).model_dump() == {"rate": 0.1, "warmup": 2, "steps": 3}
    assert Second(warmup=0, weights=(1, 2)).model_dump(mode="json")["weights"] == [1, 2]


def test_an_option_of_the_first_version_is_always_recorded() -> None:
    assert First().model_dump() == {"rate": 0.1}


def test_the_lists_of_all_base_classes_hold() -> None:
    assert Third().model_dump() == {"rate": 0.1, "steps": 3}
    assert Third(patience=1).model_dump() == {"rate": 0.1, "steps": 3, "patience": 1}


def test_it_holds_inside_another_model_and_after_reading_the_record_again() -> None:
    whole = Whole(part=Second(weights=(0.5,)))
    record = whole.model_dump(mode="json")
    assert record == {"part": {"rate": 0.1, "weights": [0.5], "steps": 3}}
    assert Whole.model_validate(record) == whole
