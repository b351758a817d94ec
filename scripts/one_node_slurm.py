"""Start and stop a Slurm of one node on this machine, for tests: ``python scripts/one_node_slurm.py start FOLDER``.

It needs Debian's packages ``slurm-wlm`` and ``munge``, and neither systemd nor a configured Slurm: munged, slurmctld
and slurmd run as the user who starts them, listen on the loopback interface only, and keep all of their files in the
folder. ``start`` prints the line that makes ``sbatch`` and the other commands use it; ``stop FOLDER`` ends the daemons.
"""

import argparse
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sinfo")
_SECONDS = 30
_FULL_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_DAEMONS = ("slurmd", "slurmctld", "munged")  # in the order in which they are stopped

_CONF = """\
ClusterName=one_node
SlurmctldHost=localhost
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
KillWait={kill_wait}
MinJobAge=300
NodeName=localhost CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Return the commands that this machine lacks."""
    return [name for name in COMMANDS if shutil.which(name, path=_FULL_PATH) is None]


def start(folder: Path, cpus: int, kill_wait: int) -> None:
    """Start the three daemons and wait until the node accepts jobs.

    Args:
        folder: a new or empty folder for the configuration, the logs and the state.
        cpus: the number of CPUs that jobs share; it may be larger than the machine's.
        kill_wait: seconds between SIGTERM and SIGKILL for a job that is cancelled or out of time.

    Raises:
        SystemExit: a command is missing, the folder is not empty, or a daemon does not start.
    """
    if lacking := missing():
        raise SystemExit(f"error: {', '.join(lacking)}: not found; expected apt-get install slurm-wlm munge before")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SystemExit(f"error: {folder} is not empty; expected a new folder")
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700)
    try:
        _start_munge(folder / "munge")
        ports = _free_ports(2)
        values = {"user": pwd.getpwuid(os.geteuid()).pw_name, "folder": folder, "cpus": cpus, "kill_wait": kill_wait}
        conf = folder / "slurm.conf"
        conf.write_text(_CONF.format(controller_port=ports[0], node_port=ports[1], **values))
        _call(folder, ["slurmctld", "-f", str(conf)])
        _call(folder, ["slurmd", "-f", str(conf), "-N", "localhost"])
        _wait(lambda: _node_state(conf) in ("idle", "mixed", "allocated"), f"the node is not up; see {folder}/*.log")
    except BaseException:
        stop(folder)
        raise


def stop(folder: Path) -> None:
    """End the daemons that run from the folder. Its files stay, and so do processes of jobs: cancel these before."""
    for name in _DAEMONS:
        path = folder / "munge" / "pid" if name == "munged" else folder / f"{name}.pid"
        try:
            pid = int(path.read_text())
        except (FileNotFoundError, ValueError):
            continue
        if _has_ended(pid, name):
            continue
        os.kill(pid, signal.SIGTERM)
        _wait(partial(_has_ended, pid, name), f"{name} (process {pid}) does not end")


def environment(folder: Path) -> dict[str, str]:
    """Return the variables with which Slurm's commands use the daemons of this folder."""
    return {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _FULL_PATH}


def _start_munge(folder: Path) -> None:
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    own = [f"--{name}-file={folder / name}" for name in ("key", "log", "pid", "seed")]
    # --force: the folder is closed to other users, of whom munged warns since they could not use its socket.
    _call(folder.parent, ["munged", "--force", f"--socket={folder / 'socket'}", *own])


def _call(folder: Path, command: Sequence[str]) -> None:
    """Start a daemon, which returns once it runs in the background."""
    done = subprocess.run(command, env={**os.environ, **environment(folder)}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {command[0]} does not start: {(done.stderr or done.stdout).strip()}")


def _node_state(conf: Path) -> str:
    command = ["sinfo", "--noheader", "--format=%T"]
    done = subprocess.run(command, env={**os.environ, **environment(conf.parent)}, capture_output=True, text=True)
    return done.stdout.strip()


def _has_ended(pid: int, name: str) -> bool:
    """Return whether the daemon is gone; its number may then be that of another program's process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() != name
    except (FileNotFoundError, ProcessLookupError):
        return True


def _wait(done: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + _SECONDS
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"error: {otherwise}")
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1, help="CPUs that jobs share")
    parser.add_argument("--kill-wait", type=int, default=30, help="seconds from SIGTERM to SIGKILL")
    given = parser.parse_args(arguments)
    folder = given.folder.resolve()
    if given.action == "stop":
        stop(folder)
        return
    start(folder, given.cpus, given.kill_wait)
    print(f"export SLURM_CONF={environment(folder)['SLURM_CONF']}")


if __name__ == "__main__":
    main()
