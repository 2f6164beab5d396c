import pytest

from fedcross.errors import OutputError
from fedcross.volumes.files.write import write_volume


def test_writing_twice_gives_the_same_bytes(tmp_path, volume):
    for name in ("a.nrrd", "b.nrrd"):
        write_volume(volume, tmp_path / name)
    assert (tmp_path / "a.nrrd").read_bytes() == (tmp_path / "b.nrrd").read_bytes()


def test_a_volume_that_cannot_be_written_raises_output_error(tmp_path, volume):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"volume\.nrrd cannot be written"):
        write_volume(volume, tmp_path / "file" / "volume.nrrd")
    with pytest.raises(OutputError, match=r"volume\.unheard cannot be written"):
        write_volume(volume, tmp_path / "volume.unheard")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
