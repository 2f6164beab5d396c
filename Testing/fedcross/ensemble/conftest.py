from tiny_ensemble import *  # noqa: F403 - the fixtures of this folder
