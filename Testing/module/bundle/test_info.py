"""The description of a bundle: folder, zip, damaged bundles."""

import json
import zipfile

import pytest


def test_a_folder_and_its_zip_have_the_same_description(loaded, bundle_folder, tmp_path):
    from fedcross.model.bundle_zip import pack_bundle
    from FedCrossSlicerLib.bundle.info import readBundleInfo

    info = readBundleInfo(bundle_folder)
    assert (info.name, info.members, info.modality) == ("Prostate <T2>", 2, "MR")
    assert info.structures == (("Prostate", (0.2, 0.8, 0.4)),)
    assert info.sites == ("north", "south")
    assert info.channels == ()
    assert (info.spacing, info.patchSize) == ((1, 2, 3), (16, 16, 16))
    assert "Prostate <T2>" in info.card
    pack_bundle(bundle_folder, tmp_path / "b.zip")
    zipped = readBundleInfo(tmp_path / "b.zip")
    assert (zipped.name, zipped.card) == (info.name, info.card)


def test_the_channels_have_names_and_modalities(loaded, two_channel_bundle):
    from FedCrossSlicerLib.bundle.info import readBundleInfo

    info = readBundleInfo(two_channel_bundle)
    assert info.channels == (("T2", "MR"), ("ADC <b>", "MR"))


def change(tmp_path, bundle_folder, edit):
    content = json.loads((bundle_folder / "configs" / "metadata.json").read_text())
    edit(content["fedcross"])
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.update(name=7),
        lambda m: m.update(members="many"),
        lambda m: m.update(sites=[["north"]]),
        lambda m: m["structures"][0].update(color=[1, 2]),
        lambda m: m["preprocessing"].update(spacing_mm=[1, 2, 1e400]),
        lambda m: m["preprocessing"].update(spacing_mm=[1, 2, -3]),
        lambda m: m["preprocessing"].update(channels=[{"name": 7}]),
        lambda m: m["preprocessing"].update(channels=[{"name": str(n)} for n in range(9)]),
        lambda m: m["preprocessing"].update(channels="T2"),
        lambda m: m.pop("preprocessing"),
        lambda m: m.update(members=[{}] * 2000),
    ],
)
def test_invalid_metadata_raises_one_sentence(loaded, bundle_folder, tmp_path, edit):
    from FedCrossSlicerLib.bundle.info import readBundleInfo
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match="is not a FedCross bundle"):
        readBundleInfo(change(tmp_path, bundle_folder, edit))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"[]", b"\xff" * 100])
def test_a_file_that_is_not_a_zip_raises_one_sentence(loaded, tmp_path, content):
    from FedCrossSlicerLib.bundle.info import readBundleInfo
    from FedCrossSlicerLib.errors import InferenceError

    (tmp_path / "b.zip").write_bytes(content)
    with pytest.raises(InferenceError, match=r"b\.zip is not a FedCross bundle"):
        readBundleInfo(tmp_path / "b.zip")


def test_a_missing_bundle_raises_one_sentence(loaded, tmp_path):
    from FedCrossSlicerLib.bundle.info import readBundleInfo
    from FedCrossSlicerLib.errors import InferenceError

    with pytest.raises(InferenceError, match="There is no bundle"):
        readBundleInfo(tmp_path / "none.zip")


def test_a_zip_with_a_huge_entry_is_refused(loaded, tmp_path):
    from FedCrossSlicerLib.bundle.info import readBundleInfo
    from FedCrossSlicerLib.errors import InferenceError

    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("configs/metadata.json", b" " * 50_000_000)
    with pytest.raises(InferenceError, match="is not a FedCross bundle"):
        readBundleInfo(tmp_path / "b.zip")


def test_a_symbolic_link_is_refused(loaded, bundle_folder, tmp_path):
    from FedCrossSlicerLib.bundle.info import readBundleInfo
    from FedCrossSlicerLib.errors import InferenceError

    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").symlink_to(bundle_folder / "configs" / "metadata.json")
    with pytest.raises(InferenceError):
        readBundleInfo(tmp_path)


def test_a_zip_with_a_huge_table_of_contents_is_refused(loaded, tmp_path):
    from FedCrossSlicerLib.bundle.info import readBundleInfo
    from FedCrossSlicerLib.errors import InferenceError

    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for index in range(10_000):
            archive.writestr(f"{index:0100d}", b"")
    with pytest.raises(InferenceError, match=r"b\.zip is not a FedCross bundle"):
        readBundleInfo(tmp_path / "b.zip")
