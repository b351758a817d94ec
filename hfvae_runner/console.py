"""What the commands of this package share as guests of a terminal."""

import os
import sys
from collections.abc import Callable

EXIT_INTERRUPTED = 130


def exit_code_of(command: Callable[[], int]) -> int:
    """Runs a command; Ctrl-C, and a reader of its output that goes away (``… | head``), end it without a traceback."""
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
