"""The parent folder of a temporary folder."""

import os

import pytest


@pytest.fixture
def make(loaded):
    from FedCrossSlicerLib.child.workspace import temporaryFolder

    return temporaryFolder


def test_a_parent_with_letters_outside_ascii_is_not_used(make, tmp_path):
    plain, accented = tmp_path / "plain", tmp_path / "Åsa Müller"
    plain.mkdir()
    accented.mkdir()
    assert make([str(accented), str(plain)]).parent == plain


def test_a_parent_that_does_not_exist_is_not_used(make, tmp_path):
    assert make([str(tmp_path / "nowhere"), str(tmp_path)]).parent == tmp_path


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_parent_is_not_used(make, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert make([str(locked), str(tmp_path)]).parent == tmp_path


def test_without_a_suitable_parent_the_systems_default_is_used(make, temporary):
    assert make([]).parent == temporary
