"""``python -m hfvae_runner.reproduce``: a paper's experiment, run again, with its numbers beside ours.

A study is one YAML file in ``studies/``; a new one goes there. What it computes without runs is a file in
``computations/``. A figure that no kind in `figures` draws is a file of its own here. May import
everything; nothing imports it.
"""
