"""The files of a check of the data: JSON and an HTML page."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import SimpleITK as sitk

from fedcross.errors import OutputError
from fedcross.study.data.page import NO_SLICES, PAGE, RECORD, data_page, write_report
from fedcross.training.config.file import load_config
from fedcross.training.data.check.federation import check_data
from fedcross.training.data.check.report import DataReport
from tiny_federation import write_federation


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> DataReport:
    """Site s0, and a site whose name looks like HTML and one of whose cases has no label."""
    folder = tmp_path_factory.mktemp("federation")
    config = write_federation(folder)
    text = config.read_text(encoding="utf-8").replace('name = "s1"', 'name = "<b> & $s"')
    config.write_text(text, encoding="utf-8")
    (folder / "s1" / "labels" / "case-1.nii.gz").unlink()
    return check_data(load_config(config))


def test_the_json_file_has_every_case_and_figure(report: DataReport, tmp_path: Path) -> None:
    write_report(report, tmp_path / "a" / "b")
    record = json.loads((tmp_path / "a" / "b" / RECORD).read_text(encoding="utf-8"))
    assert record["percentiles"] == [1, 25, 50, 75, 99]
    assert record["problems"] == report.problems()
    assert len(record["problems"]) == 1
    cases = [case for site in record["sites"] for case in site["cases"]]
    assert [len(site["cases"]) for site in record["sites"]] == [3, 3]
    (half,) = (case for case in cases if case["problem"] is not None)
    assert half["name"] == "case-1"
    assert (half["size"], half["values"]) == (None, {})
    for case in cases:
        if case is not half:
            assert case["size"] == [36, 20, 18]
            assert len(case["percentiles"]) == 5
            assert sum(case["values"].values()) == 36 * 20 * 18
            assert case["volumes_ml"]["Blob"] > 0


def test_the_page_loads_nothing_and_shows_every_site(report: DataReport, tmp_path: Path) -> None:
    page = write_report(report, tmp_path).read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]', page)
    assert "2 sites, 6 cases. 1 error. The slices show patients" in page
    assert "<h2>Errors</h2><ul><li>Case case-1 of site &lt;b&gt; &amp; $s has an image" in page
    assert "other sites" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == [PAGE, RECORD]


def test_names_are_escaped_in_the_page(report: DataReport) -> None:
    page = data_page(report)
    assert "<b>" not in page
    assert "Site &lt;b&gt; &amp; $s" in page

    class TagChecker(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open_tags: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "br"):
                self.open_tags.append(tag)

        def handle_startendtag(self, tag: str, attrs: object) -> None: ...

        def handle_endtag(self, tag: str) -> None:
            assert self.open_tags.pop() == tag

    parser = TagChecker()
    parser.feed(page)
    assert parser.open_tags == []


def test_figures_of_several_structures_have_a_legend(report: DataReport, tmp_path: Path) -> None:
    config = write_federation(tmp_path)
    text = config.read_text(encoding="utf-8")
    second = '[[structures]]\nname = "Another organ"\nlabel = 2\n[[sites]]'
    config.write_text(text.replace("[[sites]]", second, 1), encoding="utf-8")
    both = figures(data_page(check_data(load_config(config))))
    assert len(both) == 2
    assert all("Another organ" in figure and "Blob" in figure for figure in both)
    assert not any("Blob" in figure for figure in figures(data_page(report)))


def figures(page: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", page, re.DOTALL)


def test_without_matplotlib_the_page_has_a_note_in_place_of_the_figure(
    report: DataReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    page = data_page(report)
    assert "<svg" not in page
    assert "Slices of s0 and its intensities: nothing to show." in page
    assert "36 x 20 x 18" in page


def test_a_folder_that_cannot_be_created_is_reported(report: DataReport, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="The folder out cannot be made: Not a directory"):
        write_report(report, tmp_path / "file" / "out")


def test_a_page_that_cannot_be_written_is_named(report: DataReport, tmp_path: Path) -> None:
    (tmp_path / "data.html").mkdir()
    with pytest.raises(OutputError, match=r"^data\.html cannot be written: Is a directory\. Check"):
        write_report(report, tmp_path)


def test_a_site_whose_label_maps_are_all_refused_has_unknown_volumes_and_no_blank_slices(
    tmp_path: Path,
) -> None:
    config = write_federation(tmp_path)
    for path in (tmp_path / "s1" / "labels").iterdir():
        label = sitk.ReadImage(str(path))
        sitk.WriteImage(label * 7, str(path))
    page = data_page(check_data(load_config(config)))
    assert "Blob unknown" in page
    assert "not drawn" not in page
    assert NO_SLICES in page
    accepted, refused = page.split("<h2>Site s1</h2>")
    assert accepted.count("<image") > 0
    assert refused.count("<image") == 0
    assert "normalised intensity" in refused
