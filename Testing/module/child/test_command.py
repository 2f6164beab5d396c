"""The environment of the child process."""

import os


def test_the_child_inherits_the_environment_and_finds_the_package_first(loaded, monkeypatch):
    from FedCrossSlicerLib.child.command import childEnvironment, packageFolder

    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("SITE_PROXY", "kept")
    environment = childEnvironment()
    assert (packageFolder() / "fedcross" / "infer" / "__main__.py").is_file()
    assert environment["PYTHONPATH"] == f"{packageFolder()}{os.pathsep}elsewhere"
    assert environment["SITE_PROXY"] == "kept"
    assert environment["PYTHONUTF8"] == "1"
