import pytest

from fedcross.federate.kits.proxy import EXCEPTIONS, VARIABLES
from small_federation import one_thread, small, small_data

__all__ = ["no_proxy", "one_thread", "small", "small_data"]  # fixtures


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables that would lead connections on this machine through a proxy."""
    for name in (*VARIABLES, *EXCEPTIONS):
        monkeypatch.delenv(name, raising=False)
