"""Tab completion in a real bash: groups, names, lists, knobs, and values that are a fixed set."""

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from hfvae_runner.launch import main
from hfvae_runner.launch.composition import config_folder

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")

DRIVER = r"""
source "$1"
COMP_LINE="$2" COMP_POINT=${#2}
compopt() { :; }  # only inside of a completion that bash itself has started
_hfvae_runner
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "hfvae_runner"
    with path.open("w") as stream, redirect_stdout(stream):
        assert main(["--completion"]) == 0
    return path


def completed(script: Path, line: str) -> list[str]:
    done = subprocess.run(["bash", "-c", DRIVER, "bash", str(script), line], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [each for each in done.stdout.splitlines() if each]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("objective=hf", ["hfvae"]),
        ("objective=beta_", ["beta_tcvae", "beta_vae"]),
        ("objective=vae,hf", ["vae,hfvae"]),
        ("beta=12 gam", ["gamma="]),
        ("obj", ["objective="]),
        ("+exp", ["+experiment="]),
        ("+experiment=hfvae_mnist_", ["hfvae_mnist_supervised"]),
        ("precision=b", ["bf16"]),
        ("train.amsgrad=", ["true", "false"]),
        ("supervision.factor_e", ["supervision.factor_examples="]),
        ("--he", ["--help"]),
        ("nothing_like_this", []),
    ],
)
def test_what_a_tab_gives(typed: str, expected: list[str], script: Path) -> None:
    assert completed(script, f"hfvae_runner {typed}") == expected


@pytest.mark.parametrize("group", ["dataset", "objective", "prior", "model", "metrics"])
def test_every_choice_of_a_group(group: str, script: Path) -> None:
    names = sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))
    assert completed(script, f"hfvae_runner -m {group}=") == names


def test_bash_loads_it(script: Path) -> None:
    command = f"source {script}; complete -p hfvae_runner"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "complete -F _hfvae_runner hfvae_runner\n"


@pytest.fixture
def prompt(script: Path, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """An interactive bash on a terminal of its own: what the line is after some keys, in which a tab completes."""
    terminal, own = pty.openpty()
    bash = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-i"],
        **dict.fromkeys(("stdin", "stdout", "stderr"), own),
        cwd=tmp_path,
        env={**os.environ, "TERM": "dumb", "INPUTRC": "/dev/null"},
        start_new_session=True,
    )
    os.close(own)
    shown = b""

    def wait_for(text: str) -> str:
        nonlocal shown
        end = time.monotonic() + 60
        while text.encode() not in shown:
            assert time.monotonic() < end, shown
            if select.select([terminal], [], [], 1)[0]:
                shown += os.read(terminal, 4096)
        before, _, shown = shown.partition(text.encode())
        return before.decode()

    def typed(keys: str) -> str:
        os.write(terminal, f"{keys}\n".encode())
        return wait_for("<end>").strip()

    os.write(
        terminal,
        f"hfvae_runner() {{ printf '<%s>' \"$@\" '' end; }}; source {script}; PS1=; echo ready$((1))\n".encode(),
    )
    wait_for("ready1")
    yield typed
    bash.kill()
    bash.wait()
    os.close(terminal)


@pytest.mark.parametrize(
    ("keys", "arguments"),
    [
        ("hfvae_runner objective=hf\tbeta=12 gam\t4", ["objective=hfvae", "beta=12", "gamma=4"]),
        ("hfvae_runner -m objective=vae,hf\tsee\t0,1", ["-m", "objective=vae,hfvae", "seed=0,1"]),
        ("hfvae_runner +exp\thfvae_mnist_\t", ["+experiment=hfvae_mnist_supervised"]),
    ],
)
def test_keys_at_a_prompt(keys: str, arguments: list[str], prompt: Callable[[str], str]) -> None:
    assert prompt(keys).endswith("".join(f"<{each}>" for each in [*arguments, ""]))
