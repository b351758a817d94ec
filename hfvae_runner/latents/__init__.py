"""The latent variables: named blocks, their priors, the aggregate posterior q(z) and its estimators.

May import `config`, `data` and `distributions`. A new prior is a file in `latents/priors`, a new estimator of log q(z)
a function in `estimators`.
"""
