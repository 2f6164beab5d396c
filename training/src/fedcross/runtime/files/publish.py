"""Files that belong together: they replace those of an earlier result at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fedcross.runtime.files.atomic import scratch_folder
from fedcross.runtime.files.lock import exclusive


@contextmanager
def publish_files(folder: Path, record: str, is_result: Callable[[str], bool]) -> Iterator[Path]:
    """Yield an empty folder; after the block its files replace the results in `folder`.

    Of the old files the record is removed first, and of the new ones it is renamed last: a folder with
    a record is complete. Two processes rename their files one after the other, so that all files are of
    the later one. After an error in the block, nothing is changed.

    Parameters
    ----------
    folder
        Folder of the results; made if absent. Its other files stay.
    record
        Name of the file that every result has.
    is_result
        Whether a name is that of a file of a result; old ones without a new one are removed.

    Raises
    ------
    OSError
        If the files cannot be written or renamed.
    """
    # Another process that had made the folder may have removed it again.
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder / record) as staging:
        yield staging
        with exclusive(folder):
            (folder / record).unlink(missing_ok=True)
            fresh = sorted(staging.iterdir(), key=lambda file: (file.name == record, file.name))
            names = {file.name for file in fresh}
            for old in [path for path in folder.iterdir() if is_result(path.name)]:
                if old.name not in names:
                    old.unlink(missing_ok=True)
            for file in fresh:
                file.replace(folder / file.name)
