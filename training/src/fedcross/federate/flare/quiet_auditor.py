"""The audit log of a kit without the requests that repeat every few seconds.

While a coordinator watches a run, FLARE writes a line for every question about its state. Those lines
would push the others out of the log, whose size is bounded.
"""

import re
from pathlib import Path

from nvflare.fuel.sec.audit import Auditor, AuditService

from fedcross.federate.flare.audit_log import AUDIT_LOG

# Actions as FLARE names them: at the server the command with its arguments, at a site the topic.
QUESTIONS = re.compile(
    r"check_status( .*)?|get_job_meta .*|app_command \S+ fedcross\.status|train\.check_status"
)


class QuietAuditor(Auditor):  # type: ignore[misc]  # FLARE has no types
    """An auditor of FLARE that leaves out questions about the state of the federation and its jobs."""

    def add_event(self, user: str, action: str, ref: str = "", msg: str = "") -> str:
        """Write a line, unless the action is such a question; return its identifier, or "" for none."""
        if QUESTIONS.fullmatch(action):
            return ""
        return str(super().add_event(user, action, ref, msg))


def use_quiet_auditor(kit: Path) -> None:
    """Let FLARE write the audit log of a kit with a `QuietAuditor`, in this process.

    Call it before FLARE starts: FLARE keeps an auditor that is there already.
    """
    AuditService.the_auditor = QuietAuditor(str(kit / AUDIT_LOG))
