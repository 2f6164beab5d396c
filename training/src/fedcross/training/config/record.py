"""Records of configurations whose defaults are not what earlier versions did.

An option whose default is what earlier versions did is treated by `fedcross.runtime.stable_record`.
"""

from collections.abc import Mapping
from typing import Any

EARLIER_VALUES: dict[str, dict[str, Any]] = {
    "augmentation": {"preset": "paper"},
    "training": {"max_gradient_norm": None, "keep": "best"},
}
"""What runs did before these options existed. A record without an option means this value, and an option
with this value is not recorded, so that records and hashes of earlier versions stay valid."""


ALL_SITES_RECORD = 1
"""What a record has for ``engine.min_sites`` if all sites are needed: the default of earlier versions.
So the identity of a configuration does not depend on the default. A job names its number of sites."""


def leave_out_earlier(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a configuration without those that have the values of `EARLIER_VALUES`.

    Parameters
    ----------
    values
        Section to its options; all options are there.
    """
    left = dict(values)
    for section, earlier in EARLIER_VALUES.items():
        options = {
            name: value
            for name, value in left.pop(section).items()
            if name not in earlier or value != earlier[name]
        }
        if options:
            left[section] = options
    return left


def complete_record(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with the options that `leave_out_earlier` has left out.

    `ALL_SITES_RECORD` becomes None.
    """
    completed = dict(values)
    for section, earlier in EARLIER_VALUES.items():
        options = values.get(section, {})
        completed[section] = {**earlier, **options} if isinstance(options, Mapping) else options
    engine = values.get("engine")
    if isinstance(engine, Mapping) and engine.get("min_sites") == ALL_SITES_RECORD:
        completed["engine"] = {**engine, "min_sites": None}
    return completed
