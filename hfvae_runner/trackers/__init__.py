"""Services that show a run while it trains, one per file; off by default, and without effect on the results.

A choice of conf/trackers/ is a ``Tracking``, which holds its options, checked at start-up. Its ``open`` returns a
``Tracker`` for one run.
May import `storage` and `config`.
"""

from hfvae_runner.trackers._tracker import About, Row, Status, Tracker, Tracking, numbers
from hfvae_runner.trackers._trackers import Trackers

__all__ = ["About", "Row", "Status", "Tracker", "Trackers", "Tracking", "numbers"]
