"""Objectives: terms, each a file in `objectives/terms`, and their weighted sum.

May import `models` and what lies below. A new objective is a YAML file in conf/objective; only a new term needs code.
"""
