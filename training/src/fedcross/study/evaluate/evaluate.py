"""Evaluate a bundle from Python: `fedcross.evaluate`."""

from collections.abc import Collection
from functools import partial
from pathlib import Path

from fedcross.calibration.labelled_cases import find_labelled_cases
from fedcross.contract.request import RequestOptions
from fedcross.errors import ConfigError
from fedcross.model.bundle import Bundle, open_bundle
from fedcross.runtime.reporting import Reporter
from fedcross.study.evaluate.cases import find_listed_cases
from fedcross.study.evaluate.evaluation import Evaluation
from fedcross.study.evaluate.request import BAND_MM, EvaluationOptions
from fedcross.study.evaluate.run import run_evaluation
from fedcross.training.config.source import ConfigSource, PathLike, load_source


def evaluate(
    bundle: Bundle | PathLike,
    config: ConfigSource | None,
    out: PathLike,
    *,
    cases: PathLike | None = None,
    data_root: PathLike | None = None,
    parts: Collection[str] = ("test",),
    sites: Collection[str] | None = None,
    band_mm: float = BAND_MM,
    options: RequestOptions | None = None,
    workers: int = 1,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Evaluate a bundle on labelled cases; write tables and a page.

    Finished cases in `out` are reused if the bundle, the options and the files of the case are the same.

    Parameters
    ----------
    bundle
        Bundle folder, ``.zip``, or an opened bundle.
    config, data_root
        See `fedcross.load_config`; the sites and their cases. None if `cases` is given.
    out
        Folder for ``evaluation.html``, ``evaluation.json`` and the tables.
    cases
        CSV or JSON file with the image and the label of each case, in place of `config`. The values in
        the labels are those of the bundle.
    parts, sites
        Parts of the split, and names of the sites, to use; None uses all sites. Of a list, only those of
        its cases whose part is among `parts`; it has no sites.
    band_mm
        Voxels at most this far from a border are near the structures, mm.
    options
        Device, precision, back-end and measure; None is the default of `fedcross.segment`.
    workers
        Number of cases at the same time, each in a process of its own; the figures do not depend on it.
        A script that uses several needs the line ``if __name__ == "__main__":`` above its calls.
    reporter
        Receives the number of finished cases; None reports nothing.

    Returns
    -------
    Evaluation
        All figures; a pydantic model, which ``evaluation.json`` holds.

    Raises
    ------
    ConfigError, DataError, BundleError, DeviceError, OutputError
        If something cannot be used: one sentence. Finished cases are kept.
    """
    if (config is None) == (cases is None):
        raise ConfigError(
            "An evaluation needs either a configuration or a list of cases.",
            "Give one of --data and --list.",
        )
    if config is not None:
        loaded = load_source(config, data_root)
        find = partial(find_labelled_cases, loaded, parts=parts, sites=sites)
    else:
        find = partial(find_listed_cases, Path(cases or ""), parts=parts)
    settings = EvaluationOptions(band_mm, options or RequestOptions())
    run = partial(
        run_evaluation,
        find_cases=find,
        out=Path(out),
        options=settings,
        workers=workers,
        reporter=reporter,
    )
    if isinstance(bundle, Bundle):
        return run(bundle)
    with open_bundle(Path(bundle)) as opened:
        return run(opened)
