"""Draw the pictures of two data checks.

    python Resources/draw_data_check.py

makes two synthetic federations whose hospitals differ strongly, one of each anatomy. It checks them as
`fedcross data check` does and draws what the page shows of each hospital. The pictures are always the
same.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from fedcross.study.compare.figures import STYLE
from fedcross.study.data.figure import draw_site
from fedcross.training.config.file import load_config
from fedcross.training.data.check.federation import check_data
from fedcross.training.data.check.report import PICTURES, DataReport
from fedcross.training.data.phantom.federation import write_phantom_federation
from fedcross.training.data.phantom.pelvis.federation import write_pelvis_federation

SCREENSHOTS = Path(__file__).parent / "Screenshots"
SITES, SEED = 4, 1


def main() -> int:
    """Draw them and return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        organ, pelvis = Path(folder) / "organ", Path(folder) / "pelvis"
        configs = {
            "data_check.png": write_phantom_federation(
                organ, sites=SITES, cases=PICTURES, shift=1.0, seed=SEED
            ),
            "pelvis.png": write_pelvis_federation(pelvis, sites=SITES, cases=PICTURES, seed=SEED),
        }
        for name, config in configs.items():
            figure = draw(check_data(load_config(config)))
            figure.savefig(SCREENSHOTS / name, dpi=100, metadata={"Software": None})
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
