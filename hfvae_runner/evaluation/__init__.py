"""What is measured and drawn of a trained model: the decomposition of its bound, metrics, figures, and metrics.json.

May import everything up to `training`. A metric itself is a file in `metrics`, a figure one in `figures`; here is what
prepares their inputs.
"""
