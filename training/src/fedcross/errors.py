"""Errors that a person can put right.

Each message is one sentence: what was wrong, and the value received; a hint follows if the message does
not say what to do. A bug raises an ordinary Python exception instead.
"""


class FedCrossError(Exception):
    """An error that a person can put right; the command line exits with code 2.

    Parameters
    ----------
    message
        One sentence: what was wrong, and the value received.
    hint
        What to do, if the message does not say it already; may be empty.
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
    """A bundle is missing, damaged, unsafe, or not of a kind that this version reads."""


class CheckpointError(FedCrossError):
    """A run folder or a checkpoint in it cannot be written, read or resumed."""


class DeviceError(FedCrossError):
    """The requested processor or back-end is missing, or its memory does not suffice."""


class PrecisionError(DeviceError):
    """The numbers of a bundle are too large for the requested precision."""


class PluginError(FedCrossError):
    """A package that a configuration or a bundle names is missing, not allowed, or does not work."""


class OutputError(FedCrossError):
    """A result cannot be written to the requested place."""
