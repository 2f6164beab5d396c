"""How a viewer shows a result unless a person chooses otherwise."""

OPACITY = 0.65
"""Of the heat map over the volume, 0 to 1."""
THRESHOLD = 0.1
"""Share of the measure's largest possible value; where the map is below, the volume shows through."""
NEAR_MM = 5.0
"""Distance from the structures within which the heat map is shown."""
AGREE_FROM = 0.9
"""Mean Dice over all pairs of members from which the verdict is that the members agree.

Two experienced readers reach about this with one another on an organ that is easy to see."""
TRUST_FROM = 0.75
"""Mean Dice over all pairs of members below which the verdict is not to trust the structure.

At 0.75 two members share 0.75 / (2 - 0.75) = 0.6 of the voxels that either of them found."""
