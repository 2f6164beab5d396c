"""What can go wrong, each told to the user in one sentence by `str()`."""


class InferenceError(Exception):
    """The volume could not be segmented, or its result not be shown.

    Attributes
    ----------
    kind
        Class of the child's error, such as ``DeviceError``; ``""`` when it died without saying.
    log
        What the child said beside its events, for the details.
    """

    def __init__(self, message: str, kind: str = "", log: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.log = log


class InstallError(Exception):
    """The child's packages could not be installed."""
