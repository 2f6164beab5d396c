"""The MRML nodes of a result: how they are created, found again, edited, reviewed and exported."""
