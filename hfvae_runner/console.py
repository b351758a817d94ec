"""Terminal handling shared by the commands: progress bars, escaped text, exit codes."""

import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

EXIT_INTERRUPTED = 130
_SECONDS = 3
T = TypeVar("T")


def progress(items: Iterable[T], what: str, *, wanted: bool, total: int | None = None) -> Iterator[T]:
    """The items, with a bar on the terminal if they take longer than a few seconds; none where it is not wanted."""
    from tqdm import tqdm

    # None: only where stderr is a terminal.
    disable = None if wanted else True
    return iter(tqdm(items, desc=what, total=total, delay=_SECONDS, leave=False, dynamic_ncols=True, disable=disable))


def spelt_out(text: str) -> str:
    """Escape control characters, and bytes that are not text."""
    if text.isascii() and text.isprintable():
        return text
    encoded = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if unicodedata.category(c) != "Cc" or c in "\n\t" else ascii(c)[1:-1] for c in encoded)


def exit_code_of(command: Callable[[], int]) -> int:
    """Runs a command; Ctrl-C, and a reader of its output that goes away (``… | head``), end it without a traceback."""
    _open_what_is_closed()
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        # Else Python would complain at exit, when it flushes what the reader did not want.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _open_what_is_closed() -> None:
    """Open standard streams on /dev/null where the command was started without them (``>&- 2>&-``).

    Else Python has none to write to, and the next file that is opened takes the number of one.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
