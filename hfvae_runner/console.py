"""Terminal handling shared by the commands: progress bars, escaped text, exit codes."""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Any, TypeVar

EXIT_INTERRUPTED = 130
_SECONDS = 3
T = TypeVar("T")


def progress(items: Iterable[T], what: str, *, wanted: bool, total: int | None = None) -> Iterator[T]:
    """Iterate over the items, with a progress bar on the terminal if they take longer than three seconds.

    Args:
        items: the items.
        what: the bar's label.
        wanted: whether to show a bar.
        total: the number of items, if ``items`` has no length.
    """
    bar = bar_type()
    disable = hidden(wanted)
    return iter(bar(items, desc=what, total=total, delay=_SECONDS, leave=False, dynamic_ncols=True, disable=disable))


def bar_type() -> Any:
    """Return tqdm's class of progress bars: a widget in a notebook with ipywidgets, else text."""
    if in_notebook() and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm as widget

        return widget
    from tqdm import tqdm

    return tqdm


def hidden(wanted: bool) -> bool | None:
    """Return tqdm's ``disable``: None shows a bar if stderr is a terminal; a notebook always shows it."""
    if not wanted:
        return True
    return False if in_notebook() else None


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def spelt_out(text: str) -> str:
    """Escape control characters and undecodable bytes."""
    if text.isascii() and text.isprintable():
        return text
    encoded = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if unicodedata.category(c) != "Cc" or c in "\n\t" else ascii(c)[1:-1] for c in encoded)


def exit_code_of(command: Callable[[], int]) -> int:
    """Run a command and return its exit code.

    Ctrl-C (130) and a closed pipe on its output (0, as with ``… | head``) end it without a traceback.
    """
    _open_what_is_closed()
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        # Otherwise Python would report an error at exit, when it flushes the rest of the output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _open_what_is_closed() -> None:
    """Open missing standard streams on /dev/null, if the command was started without them (``>&- 2>&-``).

    Otherwise ``sys.stdout`` is None, and the next opened file gets the descriptor of a standard stream.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (open as long as the process runs)
