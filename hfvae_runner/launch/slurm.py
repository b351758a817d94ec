"""Follows the jobs of a sweep on a Slurm without accounting.

submitit asks ``sacct`` for the state of jobs. Without accounting, ``sacct`` fails: submitit warns at each call, and
waits without end for a job that has died. ``squeue`` knows a job's state for some minutes after its end
(``MinJobAge``).
"""

import re
import subprocess
import time

from submitit import SlurmJob
from submitit.slurm.slurm import SlurmInfoWatcher

_ACCOUNTING = re.compile(r"(?m)^AccountingStorageType\s*=\s*(\S+)")
_WITHOUT = ("accounting_storage/none", "(null)")
_SECONDS = 60
"""Between two calls, at most; submitit calls more often at first."""
_TIMEOUT = 30


def follow_without_accounting() -> None:
    """Have submitit ask ``squeue`` in place of ``sacct`` if the Slurm of this machine has no accounting."""
    if not _has_accounting():
        SlurmJob.watcher = QueueWatcher(delay_s=_SECONDS)


def _has_accounting() -> bool:
    """Return whether Slurm has accounting; True if it does not answer, which ``sbatch`` then reports."""
    try:
        shown = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=_TIMEOUT, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return True
    found = _ACCOUNTING.search(shown)
    return found is None or found[1] not in _WITHOUT


class QueueWatcher(SlurmInfoWatcher):
    """Learns the state of jobs from ``squeue``."""

    def update(self) -> None:
        """Update the information on all registered jobs that have not ended."""
        waited_for = self._registered - self._finished
        if not waited_for:
            return
        self._num_calls += 1
        arrays = ",".join(sorted({job.split("_")[0] for job in waited_for}))
        command = ["squeue", "--states=all", "--array", "--noheader", "--format=%i|%T|%N", f"--jobs={arrays}"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
        except (OSError, subprocess.SubprocessError):
            answer = subprocess.CompletedProcess(command, 1, "", "")
        if answer.returncode == 0:
            self._info_dict.update(self.read_info(f"JobID|State|NodeList\n{answer.stdout}"))
        elif "Invalid job id" in answer.stderr:
            # Slurm has forgotten all of them: they ended long ago, and their results are there if they succeeded.
            self._info_dict.update({job: {"JobID": job, "State": "COMPLETED"} for job in waited_for})
        # Otherwise the controller does not answer; the next call asks again.
        self._last_status_check = time.time()
        self._finished.update(job for job in waited_for if self.is_done(job, mode="cache"))
