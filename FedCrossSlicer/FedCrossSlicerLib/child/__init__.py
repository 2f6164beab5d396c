"""The child process that segments: its command line, process, warm workers, devices and folders."""
