"""An inner and an outer contour of a structure, and the losses by which their margins are chosen.

PLACEHOLDER
"""
