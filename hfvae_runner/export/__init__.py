"""``python -m hfvae_runner.export``: a run's model as files that other programs load.

A format is a file here. May import everything but `launch` and `reproduce`; nothing imports it.
"""
