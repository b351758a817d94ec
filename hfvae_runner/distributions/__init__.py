"""Densities, samplers and closed-form divergences in nats, one family per file, and fused kernels for some.

May import `config`. A new family is a file here; the prior or likelihood that uses it is one in `latents` or `models`.
"""
