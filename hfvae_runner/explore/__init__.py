"""``python -m hfvae_runner.explore``: one page on which a run's latents are moved and the decoded image follows.

The page has no external resources. May import everything but `launch` and `reproduce`; nothing imports it.
"""
