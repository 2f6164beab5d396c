"""Names of node attributes and node references. Saved scenes contain them, so they must not change."""

PREFIX = "FedCross."
"""Beginning of every attribute and reference of a result."""
ROLE = PREFIX + "Role"
"""Attribute with a node's role in its result."""
SEGMENTATION, VOLUME, HEAT, MAP, DISTANCE = "segmentation", "volume", "heat", "map", "distance"
OUTLINES, CONTOURS, SURFACE, FIGURES = "outlines", "contours", "surface", "figures"
HOT_SPOTS, MARKER, ENSEMBLE = "hotSpots", "marker", "ensemble"
HIDDEN = (MAP, DISTANCE, ENSEMBLE)
"""Roles of the nodes that Slicer does not list."""
OWNED = (
    HEAT,
    MAP,
    DISTANCE,
    OUTLINES,
    CONTOURS,
    SURFACE,
    FIGURES,
    HOT_SPOTS,
    MARKER,
    ENSEMBLE,
)
"""Roles of the nodes that are removed with the result, in the order of Slicer's data tree. The input
volume is not one of them."""
OWNER = PREFIX + "owner"
"""Reference from a node of a result back to its segmentation. A clone of the segmentation refers to the
nodes of the original, but they do not refer to the clone."""
MEASURE = PREFIX + "Measure"
"""Attribute with the measure of a map, of the heat map or of the surface."""
DESCRIPTION = PREFIX + "Description"
"""Attribute of the node `ENSEMBLE`: what DICOM files say of the bundle, as JSON."""
PROVENANCE = (
    *("Bundle", "BundleSHA256", "Members", "Measure"),
    *("Date", "Version", "Packages", "Computed"),
)
"""Attributes of every node of a result, without the prefix; they hold no paths and no persons' names."""
