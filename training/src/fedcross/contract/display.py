"""How a viewer shows a result unless a person chooses otherwise."""

OPACITY = 0.65
"""Opacity of the heat map over the volume, 0 to 1."""
THRESHOLD = 0.1
"""Share of the measure's largest possible value below which the map is transparent."""
NEAR_MM = 5.0
"""Distance from the structures within which the heat map is shown."""
AGREE_FROM = 0.9
"""Mean Dice over all pairs of members from which the verdict is that the members agree."""
TRUST_FROM = 0.75
"""Mean Dice over all pairs of members below which the verdict is not to trust the structure."""
