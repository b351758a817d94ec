"""How a step runs: where the data lie, in which order they come, and where randomness starts."""
