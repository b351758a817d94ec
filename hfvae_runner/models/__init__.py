"""The VAE: encoders and decoders, likelihoods, and the precision and layout of their products.

May import `latents` and what lies below. A paper's network is a file in `models/networks`, a likelihood one in
`models/likelihoods`.
"""
