"""Opens what a request is segmented with: a back-end and a bundle."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from fedcross.backends.factory import Backend, choose_backend
from fedcross.contract.request import RequestOptions
from fedcross.model.bundle import Bundle, open_bundle

Models = Callable[[Path, RequestOptions], AbstractContextManager[tuple[Backend, Bundle]]]
"""Opens a bundle, a folder or a .zip, and the back-end that the options name, for one request."""


@contextmanager
def fresh_models(bundle: Path, options: RequestOptions) -> Iterator[tuple[Backend, Bundle]]:
    """Choose the back-end and open the bundle for one request alone.

    Raises
    ------
    BundleError, ConfigError, DeviceError
        If the bundle cannot be opened, or the back-end, device or precision cannot be used.
    """
    backend = choose_backend(options.backend, options.device, options.precision)
    with open_bundle(bundle) as opened:
        yield backend, opened
