"""Densities, samplers and closed-form divergences, one family per file. Everything is in nats."""
