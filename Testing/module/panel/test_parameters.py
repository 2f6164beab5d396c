"""The choices of the panel, which are those of the contract."""

from fedcross.contract.measures import MEASURES, TITLES
from fedcross.contract.request import BACKENDS, PRECISION_CHOICES


def test_every_measure_has_the_name_that_saved_scenes_contain(loaded):
    from FedCrossSlicerLib.panel.parameters import Measure

    names = ["STD", "ENTROPY", "MUTUAL_INFORMATION", "VARIATION_RATIO"]
    assert [each.name for each in Measure] == names
    assert [each.value for each in Measure] == [name.lower() for name in names] == list(MEASURES)
    assert [each.label() for each in Measure] == list(TITLES.values())


def test_every_back_end_of_the_panel_is_one_of_the_child(loaded):
    from FedCrossSlicerLib.panel.input import _backends

    for _label, backend, precision in _backends():
        assert backend in BACKENDS
        assert precision in PRECISION_CHOICES
