"""Evaluation of a trained model: the decomposition of its bound, metrics, figures, and metrics.json.

May import everything up to `training`. Each metric is a file in `metrics`, and each figure a file in `figures`; this
package prepares their inputs.
"""
