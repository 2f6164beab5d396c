"""The arguments of a request to the child process."""

from pathlib import Path

from fedcross.contract.request import EVENTS_FLAG, MODULE, SegmentRequest, parse_request


def test_options_become_arguments_of_the_command_line(loaded, tmp_path):
    from FedCrossSlicerLib.child.command import childCommand
    from FedCrossSlicerLib.child.request import Options, requestArguments

    options = Options(device="cpu", precision="fp32", measure="entropy", localise=True)
    assert childCommand()[1:] == ["-m", MODULE]
    arguments = requestArguments(tmp_path, Path("a bundle"), options)
    assert arguments[-1] == EVENTS_FLAG
    assert parse_request(arguments) == SegmentRequest(
        bundle=Path("a bundle"),
        image=tmp_path / "volume.nrrd",
        out=tmp_path / "result",
        device="cpu",
        precision="fp32",
        measure="entropy",
        localise=True,
        for_viewer=True,
    )


def test_the_volumes_of_further_channels_become_further_images(loaded, tmp_path):
    from FedCrossSlicerLib.child.request import Options, requestArguments

    further = [tmp_path / "channel_2.nrrd", tmp_path / "channel_3.nrrd"]
    made = parse_request(requestArguments(tmp_path, Path("b"), Options(), further=further))
    assert made.images == (tmp_path / "volume.nrrd", *further)


def test_the_box_in_the_folder_has_priority_over_that_of_the_options(loaded, tmp_path):
    from FedCrossSlicerLib.child.request import ROI, Options, requestArguments

    options = Options(roi=tmp_path / "other.json")
    assert parse_request(requestArguments(tmp_path, Path("b"), options)).roi == options.roi
    (tmp_path / ROI).touch()
    assert parse_request(requestArguments(tmp_path, Path("b"), options)).roi == tmp_path / ROI
