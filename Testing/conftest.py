"""For all tests: nothing is kept in the user's own cache folder."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDCROSS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
