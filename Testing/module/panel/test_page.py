"""Reading the page that explains the figures."""

import pytest

PAGE = """# Title

Preface

## One

[A link](other.md#x) and ![a picture](x.png).

### Inside

<p>
<img src="x.png" width="30%">
</p>

p < 0.05

## Two `code`

Last
"""


@pytest.fixture
def sections(loaded, tmp_path):
    from FedCrossSlicerLib.panel.widgets.page import readSections

    (tmp_path / "page.md").write_text(PAGE, encoding="utf-8")
    return readSections(tmp_path / "page.md")


def test_a_section_holds_the_sections_inside_it(sections):
    assert [(each.title, each.level) for each in sections] == [
        ("One", 2),
        ("Inside", 3),
        ("Two `code`", 2),
    ]
    one, inside, two = (each.text for each in sections)
    assert inside in one
    assert two == "## Two `code`\n\nLast\n"


def test_links_are_their_texts_and_pictures_are_left_out(sections):
    one, inside, _two = (each.text for each in sections)
    assert "A link and ." in one
    assert "](" not in one
    assert "<img" not in inside
    assert "p < 0.05" in inside


def test_a_missing_page_has_no_section(loaded, tmp_path):
    from FedCrossSlicerLib.panel.widgets.page import readSections

    assert readSections(tmp_path / "missing.md") == []
