"""Training: the loop, steps compiled or recorded as a graph, stacks of runs, batches, seeds, checkpoints, restarts.

May import `objectives`, `storage`, `trackers` and what lies below; knows nothing of evaluation. What is about one step,
one row or one checkpoint is a file of its own.
"""
