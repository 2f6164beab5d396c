"""Segmenting: one volume, every time point of a sequence, every volume of a folder. No Qt here."""
