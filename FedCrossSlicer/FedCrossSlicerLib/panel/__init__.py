"""The panel: its sections, its parameters, and files dropped onto it."""
