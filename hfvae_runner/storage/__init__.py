"""What a run leaves on the disk: whole files or none, the history's rows, the run folder with its lock and log.

May import `config`, and neither torch nor Hydra. A new file of a run folder is written here, by `files`.
"""
