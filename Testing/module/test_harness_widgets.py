"""The stand-ins for CTK's widgets behave as the real widgets do."""

import pytest
from PySide6 import QtCore, QtTest


@pytest.fixture
def ctk(qapp):
    import ctk

    return ctk


@pytest.fixture
def path(ctk, request):
    """A path line with its own history."""
    edit = ctk.ctkPathLineEdit()
    edit.settingKey = request.node.name
    return edit


def test_a_path_that_matches_no_name_filter_emits_no_signal(path):
    paths = []
    path.connect("currentPathChanged(QString)", paths.append)
    path.nameFilters = ["Bundle (*.zip)"]
    path.currentPath = "/data/folder"
    path.currentPath = "/data/bundle.zip"
    path.nameFilters = []
    path.currentPath = "/data/folder"
    assert paths == ["/data/bundle.zip", "/data/folder"]


def test_an_empty_path_emits_only_that_it_is_invalid(path):
    path.currentPath = "/data/folder"
    paths, valid = [], []
    path.connect("currentPathChanged(QString)", paths.append)
    path.connect("validInputChanged(bool)", valid.append)
    path.currentPath = ""
    assert (paths, valid) == ([], [False])


def test_a_new_path_line_shows_the_last_path_used(ctk, path):
    for used in ("/first", "/second", "/first"):
        path.currentPath = used
        path.addCurrentPathToHistory()
    again = ctk.ctkPathLineEdit()
    again.settingKey = path.settingKey
    assert again.currentPath == "/first"
    assert [again.comboBox().itemText(i) for i in range(again.comboBox().count)] == [
        "/first",
        "/second",
    ]


def test_the_browse_button_can_be_hidden(path):
    assert path.showBrowseButton
    path.showBrowseButton = False
    assert not path.showBrowseButton


@pytest.fixture
def section(ctk):
    """A collapsible section with two labels in it, displayed."""
    import qt

    button = ctk.ctkCollapsibleButton("Advanced")
    layout = qt.QVBoxLayout(button)
    button.first, button.second = qt.QLabel("one"), qt.QLabel("two")
    layout.addWidget(button.first)
    layout.addWidget(button.second)
    button.show()
    return button


def test_a_section_folds_by_a_click_on_its_title_only(section):
    QtTest.QTest.mouseClick(section, QtCore.Qt.LeftButton, pos=QtCore.QPoint(9, 9))
    assert section.collapsed
    assert not section.first.visible
    QtTest.QTest.mouseClick(section, QtCore.Qt.LeftButton, pos=QtCore.QPoint(9, 9))
    assert not section.collapsed
    below = QtCore.QPoint(9, section.height - 4)
    QtTest.QTest.mouseClick(section, QtCore.Qt.LeftButton, pos=below)
    assert not section.collapsed


def test_a_hidden_widget_stays_hidden_when_its_section_unfolds(section):
    section.first.visible = False
    section.collapsed = True
    section.collapsed = False
    assert (section.first.visible, section.second.visible) == (False, True)


def test_a_widget_shown_in_a_folded_section_is_visible_when_it_unfolds(section):
    section.first.visible = False
    section.collapsed = True
    section.first.visible = True
    section.second.visible = False
    assert not section.first.visible
    section.collapsed = False
    assert (section.first.visible, section.second.visible) == (True, False)


def test_a_disabled_section_does_not_unfold(section):
    section.collapsed = True
    section.enabled = False
    QtTest.QTest.mouseClick(section, QtCore.Qt.LeftButton, pos=QtCore.QPoint(9, 9))
    assert section.collapsed


def test_the_settings_are_not_stored_with_the_users_settings(qapp):
    import qt

    assert "slicer-settings-" in qt.QSettings().fileName()
