"""What is imported while the data are read, and what a run's start leaves to its end."""

import subprocess
import sys


def test_a_start_needs_no_matplotlib_and_the_rest_is_imported_ahead() -> None:
    program = """
        import sys
        import hfvae_runner.runs.single
        from hfvae_runner.training.preload import import_ahead

        assert "matplotlib" not in sys.modules
        assert "torch._dynamo" not in sys.modules
        import_ahead().join()
        assert import_ahead() is import_ahead()
        assert {"torch._dynamo", "hfvae_runner.distributions._kernels"} <= sys.modules.keys()
    """
    lines = "\n".join(line.strip() for line in program.splitlines())
    subprocess.run([sys.executable, "-c", lines], check=True)
