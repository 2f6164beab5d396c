"""Writes the warnings of a site's work into the hospital's log."""

import logging

from fedcross.runtime.reporting import NullReporter

log = logging.getLogger("fedcross.federation")


class LoggedWarnings(NullReporter):
    """Logs every warning and ignores everything else."""

    def warning(self, message: str) -> None:
        """Log it."""
        log.warning("%s", message)
