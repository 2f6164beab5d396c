"""For all tests: nothing is kept in the user's own cache folder."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings


def pytest_configure() -> None:
    """Let Ctrl-C interrupt here and in children: a shell's background job would ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("fedcross", deadline=None)  # no test fails because a machine is busy
    settings.load_profile("fedcross")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDCROSS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
