"""Objectives: terms, one per file in `objectives/terms`, and their weighted sum.

May import `models` and the layers below it. To add an objective, add a YAML file to conf/objective. Only a new term
requires code.
"""
