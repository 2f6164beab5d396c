"""The Python packages of the child process: which are installed, and how the others are installed."""
