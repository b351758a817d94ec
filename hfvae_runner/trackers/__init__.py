"""Services that show a run while it trains, one per file; off by default, and never part of the results.

A choice of conf/trackers/ is a ``Tracking``: its options, checked at start-up. Opened for a run it is a ``Tracker``.
May import `storage` and `config`.
"""

from hfvae_runner.trackers._tracker import About, Row, Status, Tracker, Tracking, numbers
from hfvae_runner.trackers._trackers import Trackers

__all__ = ["About", "Row", "Status", "Tracker", "Trackers", "Tracking", "numbers"]
