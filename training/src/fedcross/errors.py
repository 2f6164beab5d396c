"""The errors a user may see.

Each message is one sentence for the person at the screen: what was wrong, the value received and
what to do. Everything else (a bug) raises an ordinary Python exception.
"""


class FedCrossError(Exception):
    """Something the user can put right; the command line exits with code 2.

    Parameters
    ----------
    message
        One sentence: what was wrong and the value received.
    hint
        What to do about it, if the message does not say so already.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(FedCrossError):
    """A configuration, or an argument on the command line, cannot be used."""


class DataError(FedCrossError):
    """An image, a label map or a site's folder cannot be used."""


class BundleError(FedCrossError):
    """A bundle is damaged, unsafe or made for something else."""


class CheckpointError(FedCrossError):
    """A run folder or a checkpoint in it cannot be written, read or resumed."""


class DeviceError(FedCrossError):
    """The processor that was asked for is absent, or its memory does not suffice."""


class PrecisionError(DeviceError):
    """The numbers of a bundle are too large for the precision that was asked for."""


class OutputError(FedCrossError):
    """A result cannot be written where it was asked for."""
