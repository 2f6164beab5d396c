"""Whether a process is running."""

import os
import sys

if sys.platform == "win32":
    import ctypes

    _SYNCHRONIZE = 0x00100000
    _ERROR_INVALID_PARAMETER = 87

    def is_running(pid: int) -> bool:
        """Return False if no process has this number; True if one has, or if that is unknown."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(_SYNCHRONIZE, False, pid)
        if not handle:
            return ctypes.get_last_error() != _ERROR_INVALID_PARAMETER
        handle = ctypes.c_void_p(handle)
        has_ended = kernel.WaitForSingleObject(handle, 0) == 0
        kernel.CloseHandle(handle)
        return not has_ended

else:

    def is_running(pid: int) -> bool:
        """Return False if no process has this number; True if one has, or if that is unknown."""
        try:
            os.kill(pid, 0)  # signal 0 checks only
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True
