from fedcross.federate.supervise.attendance import JobState, describe_missing

JOIN_S = 60.0


def find(job: JobState, now: float, **takes_part: bool) -> list[str]:
    return job.find_late(["a", "b"], takes_part, now, JOIN_S)


def test_a_site_that_connects_after_the_job_began_is_late_at_the_second_request() -> None:
    job = JobState("job", "Monday", 0.0, {"a"})
    assert find(job, 0.0, a=False) == []
    assert find(job, 5.0, a=True, b=False) == []
    assert find(job, 10.0, a=True, b=False) == ["b"]


def test_a_site_that_may_be_starting_has_more_time() -> None:
    job = JobState("job", "Monday", 0.0, {"a", "b"})
    assert [find(job, now, a=True, b=False) for now in (0.0, 30.0, 60.0)] == [[], [], ["b"]]


def test_a_site_that_took_part_and_came_back_has_no_more_time() -> None:
    job = JobState("job", "Monday", 0.0, {"a", "b"})
    find(job, 0.0, a=True, b=True)
    find(job, 5.0, a=True)  # b is away
    assert find(job, 10.0, a=True, b=False) == []
    assert find(job, 15.0, a=True, b=False) == ["b"]


def test_a_site_that_is_seen_for_a_moment_begins_anew() -> None:
    job = JobState("job", "Monday", 0.0, {"a"})
    find(job, 0.0, a=True, b=False)
    find(job, 5.0, a=True)
    assert find(job, 10.0, a=True, b=False) == []


def test_a_site_outside_the_configuration_is_never_late() -> None:
    job = JobState("job", "Monday", 0.0, set())
    assert [find(job, now, a=True, guest=False) for now in (0.0, 100.0)] == [[], []]


def test_the_line_about_missing_sites_names_them_and_the_numbers() -> None:
    sites = ["a", "b", "c"]
    assert describe_missing(sites, ["b"], 2, is_late=False) == "Waiting for a, c."
    assert describe_missing(sites, ["a", "b"], 2, is_late=True).startswith("Begun without c;")
    assert describe_missing(sites, ["b", "guest"], 2, is_late=True) == (
        "Waiting for a, c: 1 of 3 sites are connected, and the run needs 2 (min_sites)."
    )
