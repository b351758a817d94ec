"""The VAE: encoders and decoders, likelihoods, and the precision and layout of their matrix products.

May import `latents` and the layers below it. Each paper's network is a file in `models/networks`, each likelihood a
file in `models/likelihoods`.
"""
