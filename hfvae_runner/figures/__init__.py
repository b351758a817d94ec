"""Figures for slides: one per file, each a function of plain numpy arrays that returns a matplotlib Figure."""
