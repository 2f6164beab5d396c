"""The coded terms of DICOM results.

Structures have the codes of the bundle. The quantities of uncertainty have none in a public scheme, so
they have codes of the private scheme `SCHEME`, DICOM PS3.16 section 8.
"""

from collections.abc import Mapping

import highdicom as hd
from pydicom.sr.codedict import codes

from fedcross.contract.measures import Measure
from fedcross.errors import ConfigError
from fedcross.volumes.structure import Code

SCHEME = "99FEDCROSS"
MAX_SCHEME, MAX_MEANING = 16, 64
"""Characters of a coding scheme's designator and of a code's meaning."""
QUANTITIES: Mapping[Measure, tuple[str, str]] = {
    "std": ("std", "Spread of the members' probabilities"),
    "entropy": ("entropy", "Entropy of the members' mean probabilities, in nats"),
    "mutual_information": ("mutual_info", "Mutual information of members and class, in nats"),
    "variation_ratio": ("variation_ratio", "Share of the members that vote otherwise"),
}
"""Code value and meaning of each measure; the formulas are in `fedcross.uncertainty.measures`."""
NO_UNITS = codes.UCUM.NoUnits
"""UCUM has no code of the nat; an entropy in nats has no dimension."""
FAMILY = codes.DCM.ArtificialIntelligence


def scheme_item() -> hd.coding_schemes.CodingSchemeIdentificationItem:
    """Return the description of the private scheme."""
    return hd.coding_schemes.CodingSchemeIdentificationItem(
        SCHEME, name="FedCross measures of uncertainty", responsible_organization="FedCross"
    )


def quantity(measure: Measure) -> hd.sr.CodedConcept:
    """Return the code of a measure of uncertainty."""
    value, meaning = QUANTITIES[measure]
    return hd.sr.CodedConcept(value, SCHEME, meaning)


def concept(code: Code, structure: str) -> hd.sr.CodedConcept:
    """Return a code of a structure; a meaning that is too long is cut.

    Raises
    ------
    ConfigError
        If the name of the coding scheme is longer than DICOM allows.
    """
    if len(code.scheme) > MAX_SCHEME:
        raise ConfigError(
            f"The structure {structure} has a code of the scheme {code.scheme}, whose name is longer "
            f"than the {MAX_SCHEME} characters that DICOM allows.",
            "Do without DICOM results, or ask for a bundle with another code.",
        )
    return hd.sr.CodedConcept(code.value, code.scheme, code.meaning[:MAX_MEANING].strip())
