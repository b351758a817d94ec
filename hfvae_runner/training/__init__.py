"""Training: the loop, steps compiled or recorded as a graph, stacks of runs, batches, seeds, checkpoints, restarts.

May import `objectives`, `storage`, `trackers` and the layers below them, and does not import `evaluation`. A step, a
row of history.csv and a checkpoint each have a file of their own.
"""
