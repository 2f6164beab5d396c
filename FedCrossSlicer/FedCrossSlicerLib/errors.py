"""The module's errors. `str()` of each is one sentence that the panel shows to the user."""


class InferenceError(Exception):
    """A volume could not be segmented, or a result could not be read, shown or written.

    Parameters
    ----------
    message
        One sentence for the user.

    Attributes
    ----------
    kind
        Class name of the child process's error, such as ``DeviceError``; ``""`` if the child process
        reported none.
    log
        The child process's output that was not an event, one string with line breaks; may be empty.
    """

    def __init__(self, message: str, kind: str = "", log: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.log = log


class InstallError(Exception):
    """The Python packages of the child process could not be installed or checked."""
