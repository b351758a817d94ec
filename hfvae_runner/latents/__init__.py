"""The latent variables: named blocks, their priors, the aggregate posterior q(z) and its estimators.

May import `config`, `data` and `distributions`. To add a prior, add a file to `latents/priors`. To add an estimator of
log q(z), extend `estimators`.
"""
