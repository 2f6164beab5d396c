"""The arguments of a request to the child process."""

from pathlib import Path

from fedcross.contract.request import RequestOptions


def test_options_become_arguments_of_the_command_line(loaded, tmp_path):
    from FedCrossSlicerLib.child.command import childCommand
    from FedCrossSlicerLib.child.request import requestArguments

    options = RequestOptions(device="cpu", precision="fp32", measure="entropy")
    assert childCommand()[1:] == ["-m", "fedcross.infer"]
    assert requestArguments(tmp_path, Path("a bundle"), options) == [
        *("--bundle", "a bundle"),
        *("--image", str(tmp_path / "volume.nrrd"), "--out", str(tmp_path / "result")),
        *("--measure", "entropy", "--device", "cpu", "--precision", "fp32"),
        *("--backend", "auto", "--for-viewer", "--events"),
    ]
    arguments = requestArguments(tmp_path, Path("a bundle"), RequestOptions(localise=True))
    assert arguments[-3:] == ["--localise", "--for-viewer", "--events"]
