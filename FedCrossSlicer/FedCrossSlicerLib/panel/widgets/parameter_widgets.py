"""The widgets that show a parameter each."""

from typing import Any


def parameterWidgets(ui: Any) -> dict[str, Any]:
    """Return the named widgets of the .ui file by the names of their parameters.

    Slicer's `connectGui` finds them too, but it returns no tag with which to disconnect them.
    """
    named = {widget.property("SlicerParameterName"): widget for widget in vars(ui).values()}
    return {name: widget for name, widget in named.items() if name}
