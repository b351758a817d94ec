"""Figures, one per file: each a function of numpy arrays that returns a matplotlib Figure.

Imports nothing of this package. What a run draws is chosen in `evaluation.run_figures`, what a study does in `report`.
"""
