"""The measures of uncertainty: names and titles.

Formulas and ranges are in `fedcross.uncertainty.measures`.
"""

from collections.abc import Mapping
from typing import Literal, get_args

Measure = Literal["std", "entropy", "mutual_information", "variation_ratio"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
DEFAULT_MEASURE: Measure = "entropy"

TITLES: Mapping[Measure, str] = {
    "std": "Disagreement (standard deviation)",
    "entropy": "Total uncertainty (entropy)",
    "mutual_information": "Disagreement (mutual information)",
    "variation_ratio": "Dissenting members (variation ratio)",
}
"""One line each, for a list in which a person chooses a measure."""

LEGENDS: Mapping[Measure, str] = {
    "std": "Disagreement\n(std. dev.)",
    "entropy": "Uncertainty\n(entropy, nats)",
    "mutual_information": "Disagreement\n(mutual inf., nats)",
    "variation_ratio": "Dissent\n(share of members)",
}
"""Two short lines each, the second with the unit, for the title of a colour legend."""
