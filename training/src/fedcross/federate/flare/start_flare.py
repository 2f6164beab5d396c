"""Starts FLARE's process of a kit: ``python -m fedcross.federate.flare.start_flare KIT MODULE ...``.

It runs a main module of FLARE with its options as ``python -m MODULE ...`` does, with the auditor of
`fedcross.federate.flare.quiet_auditor`.
"""

import runpy
import sys
from pathlib import Path

from fedcross.federate.flare.quiet_auditor import use_quiet_auditor


def main() -> None:
    """Run the module that the command line names."""
    kit, module = sys.argv[1:3]
    use_quiet_auditor(Path(kit))
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
