"""Widgets and helpers of the panel that know nothing of segmentations."""
