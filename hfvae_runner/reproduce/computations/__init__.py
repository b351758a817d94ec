"""Computations of studies whose rows are statements about numbers, not means over training runs.

One file each, with a function ``compute`` that takes nothing and returns a `Computed`; a new one goes there, and a
study names it as ``computation``. Imported only when it runs, since these need torch.
"""
