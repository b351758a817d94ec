"""Figures, one per file: each a function of numpy arrays that returns a matplotlib Figure.

This folder imports nothing else of the package. `evaluation.run_figures` chooses what a run draws, and `report` what a
study draws.
"""
