"""What docs/reference says of objectives: their equations, knobs and terms."""
