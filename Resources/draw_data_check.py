"""Draw the README's picture of a data check.

    python Resources/draw_data_check.py

makes a synthetic federation whose hospitals differ strongly, checks it as `fedcross data check` does
and draws what the page shows of each hospital. The same picture every time, in seconds.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from fedcross.study.compare.figures import STYLE
from fedcross.study.data.figure import draw_site
from fedcross.training.config.configuration import load_config
from fedcross.training.data.check.federation import check_data
from fedcross.training.data.check.report import PICTURES, DataReport
from fedcross.training.data.phantom.federation import write_phantom_federation

PICTURE = Path(__file__).parent / "Screenshots" / "data_check.png"
SITES, SEED = 4, 1


def main() -> int:
    """Draw it and return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        config = write_phantom_federation(
            Path(folder) / "federation", sites=SITES, cases=PICTURES, shift=1.0, seed=SEED
        )
        figure = draw(check_data(load_config(config)))
    figure.savefig(PICTURE, dpi=100, metadata={"Software": None})
    return 0


def draw(report: DataReport) -> Figure:
    """The hospitals below one another."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 1.9 * len(report.sites)))
        rows = figure.subfigures(len(report.sites))
        for row, site in zip(rows, report.sites, strict=True):
            draw_site(row, site, [other for other in report.sites if other is not site])
            row.subplots_adjust(left=0.01, right=0.99, bottom=0.24, top=0.88)
    return figure


if __name__ == "__main__":
    sys.exit(main())
