"""Wall time and rate of training."""

import time
from collections.abc import Sequence

from hfvae_runner.training.member import Member


class Clock:
    """Wall time of the members' steps, counted in full for each member, and the rate since the last row."""

    def __init__(self, team: Sequence[Member]) -> None:
        self._team = team
        self._row = self._noted = time.perf_counter()
        self._row_step = team[0].state.step
        self._rate = 0.0

    def rate(self, batch: int) -> float:
        """Return the examples per second of one member since the last row."""
        now, step = time.perf_counter(), self._team[0].state.step
        # Computed once a row: this is called for each member in turn.
        if step != self._row_step:
            self._rate = (step - self._row_step) * batch / max(now - self._row, 1e-9)
            self._row, self._row_step = now, step
        return self._rate

    def note(self) -> None:
        """Add the seconds since the last call to every member's state."""
        now = time.perf_counter()
        for member in self._team:
            member.state.seconds += now - self._noted
        self._noted = now
