"""The audit log of a kit has what was asked for, without the questions that repeat."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fedcross.federate.flare.audit_log import AUDIT_LOG
from fedcross.federate.flare.quiet_auditor import QuietAuditor
from fedcross.federate.flare.start_flare import __name__ as starter

JOB = "c75eb372-da82-4fd1-b9b0-4dd9bc6857d9"
REPORTER = """
import sys
from nvflare.fuel.sec.audit import AuditService

if __name__ == "__main__":
    AuditService.initialize("elsewhere.log")  # as FLARE does at its start
    AuditService.add_event("admin", "check_status server")
    AuditService.add_event("admin", " ".join(sys.argv[1:]))
"""


def actions(log: Path) -> list[str]:
    return re.findall(r"\[A:([^]]*)\]", log.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "action",
    [
        "check_status server",
        "check_status client east north",
        f"get_job_meta {JOB}",
        f"app_command {JOB} fedcross.status",
        "train.check_status",
    ],
)
def test_a_question_about_the_state_is_left_out(tmp_path: Path, action: str) -> None:
    auditor = QuietAuditor(str(tmp_path / AUDIT_LOG))
    assert auditor.add_event("admin@fedcross.org", action) == ""
    auditor.close()
    assert (tmp_path / AUDIT_LOG).read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(
    "action",
    [
        "_cert_login admin@fedcross.org",
        "job_mgmt.submit_job run",
        f"job_mgmt.download_job {JOB}",
        f"abort_job {JOB}",
        f"app_command {JOB} fedcross.stop",
        f"app_command {JOB} fedcross.status.more",
        "disable_client north",
        "train.deploy",
        "train.start_job",
        "check_status_and_more",
    ],
)
def test_every_other_request_is_written(tmp_path: Path, action: str) -> None:
    auditor = QuietAuditor(str(tmp_path / AUDIT_LOG))
    assert len(auditor.add_event("admin@fedcross.org", action)) == 36  # the identifier of the line
    auditor.add_job_event(JOB, task_name="train", task_id="1")
    auditor.close()
    assert actions(tmp_path / AUDIT_LOG) == [action, "train#1"]


def test_flare_writes_the_log_of_the_kit_with_this_auditor(tmp_path: Path) -> None:
    (tmp_path / "reporter.py").write_text(REPORTER, encoding="utf-8")
    kit = tmp_path / "kit"
    kit.mkdir()
    words = [sys.executable, "-m", starter, str(kit), "reporter", "abort_job", JOB]
    subprocess.run(words, cwd=tmp_path, check=True)
    assert actions(kit / AUDIT_LOG) == [f"abort_job {JOB}"]
    assert not (tmp_path / "elsewhere.log").exists()
