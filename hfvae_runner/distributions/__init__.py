"""Densities, samplers and closed-form divergences in nats, one family per file, and fused kernels for some.

It may import `config`. A new family is a file in this folder. The prior or likelihood that uses it is a file in
`latents` or `models`.
"""
