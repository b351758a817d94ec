"""Files of a run: atomic writes, the history, and the run folder with its lock and log.

May import `config`, and neither torch nor Hydra. A new file of a run folder is written here, by `files`.
"""
