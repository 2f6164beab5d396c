"""The temporary folder's name."""

import os

import pytest


@pytest.fixture
def make(loaded):
    from FedCrossSlicerLib.child.workspace import temporaryFolder

    return temporaryFolder


def test_a_folder_outside_ascii_is_passed_over(make, tmp_path):
    plain, accented = tmp_path / "plain", tmp_path / "Åsa Müller"
    plain.mkdir()
    accented.mkdir()
    assert make([str(accented), str(plain)]).parent == plain


def test_a_folder_that_is_not_there_is_passed_over(make, tmp_path):
    assert make([str(tmp_path / "nowhere"), str(tmp_path)]).parent == tmp_path


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_passed_over(make, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert make([str(locked), str(tmp_path)]).parent == tmp_path


def test_when_none_serves_the_systems_default_does(make, temporary):
    assert make([]).parent == temporary
