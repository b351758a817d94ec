"""Files of a run: atomic writes, the history, and the run folder with its lock and log.

May import `config`, but neither torch nor Hydra. New kinds of files in a run folder are written here, through `files`.
"""
