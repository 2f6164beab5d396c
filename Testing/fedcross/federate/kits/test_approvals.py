"""A hospital's own yes for every configuration: the record, its words, and the commands."""

import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedcross.commands.site import app
from fedcross.errors import ConfigError, OutputError
from fedcross.federate.kits.approval_words import describe_request
from fedcross.federate.kits.approvals import (
    APPROVALS,
    LONGEST_LINE,
    MAX_BYTES,
    MAX_DECIDED,
    MAX_DECISIONS,
    MAX_LINES,
    MAX_WAITING,
    PENDING,
    REJECTED,
    ApprovalError,
    Decision,
    decide,
    read_approvals,
    record_request,
    require_approval,
)
from fedcross.federate.kits.provision import Federation, init_federation
from fedcross.federate.kits.settings_checks import check_configuration
from fedcross.federate.kits.site_settings import SiteSettings
from fedcross.federate.kits.site_status import describe_site
from fedcross.federate.kits.startup_kit import open_kit
from fedcross.training.config.configuration import TrainingConfig, config_sha256
from tiny_federation import tiny_config

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
ASKING = SiteSettings(data=Path("/data"), requires_approval=True)
SHA = "ab" * 32


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    return tiny_config(tmp_path_factory.mktemp("federation"), sites=2, rounds=4)


def ask(kit: Path, sha256: str = SHA, minute: int = 0, word: str = "Name: Tiny") -> None:
    record_request(kit, sha256, "training", [word], NOON + timedelta(minutes=minute))


def refusal(kit: Path, settings: SiteSettings = ASKING, sha256: str = SHA) -> str | None:
    try:
        require_approval(kit, settings, sha256)
    except ApprovalError as error:
        return error.reason
    return None


def test_nothing_is_approved_without_a_decision_and_the_last_decision_counts(
    tmp_path: Path,
) -> None:
    assert refusal(tmp_path) == PENDING
    ask(tmp_path)
    assert refusal(tmp_path) == PENDING
    decide(tmp_path, SHA, "approved")
    assert refusal(tmp_path) is None
    assert refusal(tmp_path, sha256="cd" * 32) == PENDING
    decide(tmp_path, SHA, "rejected")
    assert refusal(tmp_path) == REJECTED
    (record,) = read_approvals(tmp_path)
    assert [each.decision for each in record.decisions] == ["approved", "rejected"]


def test_a_hospital_that_requires_no_approval_or_named_the_configuration_itself_refuses_nothing(
    tmp_path: Path,
) -> None:
    assert refusal(tmp_path, SiteSettings(data=Path("/data"))) is None
    assert refusal(tmp_path, ASKING.model_copy(update={"configuration": SHA})) is None


def test_a_damaged_record_approves_nothing(tmp_path: Path) -> None:
    (tmp_path / APPROVALS).write_text('{"configurations": [{"sha256": "x"}]}', encoding="utf-8")
    with pytest.raises(OutputError, match="is damaged"):
        require_approval(tmp_path, ASKING, SHA)


def test_only_the_owner_can_read_the_record(tmp_path: Path) -> None:
    ask(tmp_path)
    assert stat.S_IMODE((tmp_path / APPROVALS).stat().st_mode) == 0o600


def test_the_words_are_those_that_were_decided_on(tmp_path: Path) -> None:
    ask(tmp_path, word="first")
    ask(tmp_path, word="second", minute=1)
    decide(tmp_path, SHA, "approved")
    ask(tmp_path, word="third", minute=2)
    (record,) = read_approvals(tmp_path)
    assert record.words == ("second",)
    assert (record.first, record.last) == (NOON, NOON + timedelta(minutes=2))


def test_many_requests_push_out_no_decision(tmp_path: Path) -> None:
    ask(tmp_path, "f" * 64)
    decide(tmp_path, "f" * 64, "rejected")
    for number in range(MAX_WAITING + 2):
        ask(tmp_path, f"{number:064x}", minute=number + 1)
    kept = [record.sha256 for record in read_approvals(tmp_path)]
    assert kept == ["f" * 64, *(f"{number:064x}" for number in range(2, MAX_WAITING + 2))]


def test_the_longest_words_of_all_configurations_fit_into_the_record() -> None:
    per_configuration = MAX_LINES * (4 * LONGEST_LINE + 20) + MAX_DECISIONS * 100 + 1000
    assert (MAX_WAITING + MAX_DECIDED) * per_configuration < MAX_BYTES


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("ab" * 5, "at least its first 12 characters, got 10"),
        ("cd" * 6, "No configuration that was asked for"),
        ("ab" * 6, "More than one configuration"),
    ],
)
def test_a_decision_needs_the_sha256_of_one_configuration(
    tmp_path: Path, prefix: str, message: str
) -> None:
    ask(tmp_path)
    ask(tmp_path, "ab" * 31 + "00")
    with pytest.raises(ConfigError, match=message):
        decide(tmp_path, prefix, "approved")
    assert not any(record.decisions for record in read_approvals(tmp_path))


def test_the_words_say_what_is_used_how_often_and_what_leaves(config: TrainingConfig) -> None:
    settings = ASKING.model_copy(update={"share": ("loss", "calibration")})
    words = describe_request(config, "s1", settings)
    assert words == [
        "Name: Tiny",
        "Method: FedCrossEns, 2 members, network unet",
        "Structures: Blob",
        'Data used here: images "s1/images", labels "s1/labels"; all cases',
        "Split: 1 training, 1 validation, 1 test cases, drawn by chance",
        # Two members visit two sites, so there is one visit at each site in every round.
        "Rounds: 4, with 1 epochs in each visit; visits planned here: 4",
        "Leaves this hospital: the trained member after every visit, with the state of its optimiser; "
        "the mean loss of every visit and its number of skipped steps",
        "Receivers: the server, which passes members on to s0",
        "If the coordinator makes a plan: nothing",
        "If the coordinator calibrates a bundle: counts and sums over five labelled cases or more",
        "If the coordinator makes the profile of a bundle: nothing",
        "Code of other packages: none",
    ]


@pytest.mark.parametrize("place", ["/etc/images", "../other", "C:\\images", "a/../../b"])
def test_a_path_outside_the_data_folder_is_named_as_such(
    config: TrainingConfig, place: str
) -> None:
    sites = tuple(site.model_copy(update={"images": place}) for site in config.sites)
    words = "\n".join(describe_request(config.model_copy(update={"sites": sites}), "s0", ASKING))
    assert "images A PATH OUTSIDE THE DATA FOLDER" in words
    assert place not in words


def test_text_of_the_coordinator_has_no_effect_on_a_terminal_and_names_no_case(
    config: TrainingConfig,
) -> None:
    site = config.sites[0].model_copy(
        update={"images": "a\x1b[2Jb" * 500, "cases": ("Jane Doe",), "exclude": ("John",)}
    )
    changed = config.model_copy(
        update={"sites": (site,), "description": "x\nApproved: yes\u202e" * 400}
    )
    words = describe_request(changed, "s0", ASKING)
    assert all(line.isprintable() and len(line) <= 900 for line in words)
    assert not re.search("Jane|John", "".join(words))


def test_a_very_long_schedule_is_not_counted(config: TrainingConfig) -> None:
    method = config.method.model_copy(update={"rounds": 10**12})
    words = describe_request(config.model_copy(update={"method": method}), "s0", ASKING)
    assert "Rounds: 1000000000000, with 1 epochs in each visit" in words


def test_the_check_tells_whether_the_configuration_is_approved(
    tmp_path: Path, config: TrainingConfig
) -> None:
    sha256 = config_sha256(config)

    def verdict() -> str:
        return check_configuration(tmp_path, ASKING, config).verdict

    assert verdict() == "warning"
    ask(tmp_path, sha256)
    decisions: tuple[tuple[Decision, str], ...] = (("approved", "good"), ("rejected", "wrong"))
    for decision, expected in decisions:
        decide(tmp_path, sha256, decision)
        assert verdict() == expected


def test_the_commands_show_approve_and_reject(tmp_path: Path) -> None:
    init_federation(tmp_path / "kits", Federation("tiny", ("s0",), "localhost", 1))
    kit = tmp_path / "kits" / "sites" / "s0"

    def call(*words: str) -> str:
        result = CliRunner().invoke(app, [*words])
        assert result.exit_code == 0, result.output
        return re.sub(r"\s+", " ", result.output)

    shown = call("approvals", str(kit))
    assert "This hospital requires no approval" in shown
    assert "No configuration waits" in shown
    settings = kit / "local" / "site.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("requires_approval = false", "requires_approval = true"))
    ask(kit)
    shown = call("approvals", str(kit))
    assert SHA in shown
    assert "Asked for: training; first 2026-11-29 12:00:00 UTC" in shown
    assert "Name: Tiny" in shown
    assert "Configurations that wait for it: 1;" in " ".join(describe_site(open_kit(kit), NOON, 1))
    assert f"Approved {SHA}" in call("approve", str(kit), SHA[:12])
    assert "No configuration waits" in call("approvals", str(kit))
    assert f"Rejected {SHA}" in call("reject", str(kit), SHA)
    assert "Approved: 20" in call("approvals", str(kit), "--all")
