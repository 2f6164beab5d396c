"""TOML with comments, read back by the standard library."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from fedcross.training.planning.toml_text import write_toml

SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INLINE = st.lists(SCALARS, max_size=3) | st.dictionaries(KEYS, SCALARS, max_size=3)
TABLES = st.dictionaries(KEYS, SCALARS | INLINE, max_size=4)


@given(st.dictionaries(KEYS, SCALARS | TABLES | st.lists(TABLES, min_size=1, max_size=3)))
def test_what_is_written_is_read_again(values) -> None:
    assert tomllib.loads(write_toml(values, {})) == values


def test_reasons_stand_beside_values_and_absent_values_are_left_out() -> None:
    values = {"name": "x", "cache": None, "method": {"rounds": 3}, "sites": [{"name": "a"}]}
    assert write_toml(values, {("method", "rounds"): "three blocks"}, ["Head."]) == (
        '# Head.\nname = "x"\n\n[method]\nrounds = 3  # three blocks\n\n[[sites]]\nname = "a"\n'
    )
