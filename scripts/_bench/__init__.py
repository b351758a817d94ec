"""What ``scripts/bench_train.py`` is made of."""
