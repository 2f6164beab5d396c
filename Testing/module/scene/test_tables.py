"""Table nodes that come back from a file as they were."""

import pytest
import slicer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


@pytest.fixture
def tables(loaded, scene):
    from FedCrossSlicerLib.scene import tables

    return tables


def test_a_hash_sign_does_not_cut_a_name_off(tables, tmp_path):
    node = tables.newTable("t", {"word": ["Lesion #2", "#"], "integer": [1, 2]})
    slicer.util.saveNode(node, str(tmp_path / "t.tsv"))
    again = slicer.util.loadTable(str(tmp_path / "t.tsv"))
    assert tables.readColumn(again, "word") == ["Lesion \uff032", "\uff03"]
    assert tables.readColumn(again, "integer") == [1, 2]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(WORDS, st.floats(-1e9, 1e9), st.integers(-(2**31), 2**31 - 1)),
        min_size=1,
        max_size=5,
    )
)
def test_words_and_numbers_survive_the_file(tables, rows, tmp_path):
    words, floats, integers = zip(*rows, strict=True)
    node = tables.newTable("t", {"float": floats, "word": words, "integer": integers})
    slicer.util.saveNode(node, str(tmp_path / "t.tsv"))
    again = slicer.util.loadTable(str(tmp_path / "t.tsv"))
    for title in ("float", "word", "integer"):
        assert tables.readColumn(again, title) == tables.readColumn(node, title)
    assert tables.readColumn(node, "integer") == list(integers)
    assert tables.readColumn(node, "float") == pytest.approx(list(floats), rel=5e-6)
    for each in (node, again):
        slicer.mrmlScene.RemoveNode(each)


def test_a_column_that_is_not_there_is_empty(tables):
    assert tables.readColumn(tables.newTable("t", {"a": ["x"]}), "b") == []


@pytest.mark.parametrize(
    ("text", "kept"), [("a\tb\n c", "a b c"), ('"quoted"', "'quoted'"), ("Drüse 2", "Drüse 2")]
)
def test_a_text_loses_what_the_file_would_lose(tables, text, kept):
    assert tables.plainText(text) == kept
