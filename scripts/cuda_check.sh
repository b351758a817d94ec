#!/usr/bin/env bash
# What a GPU has to show, in one command: correctness first, then speed. See scripts/cuda_check.py.
#
#     bash scripts/cuda_check.sh [--out FOLDER] [--parts right,fast] [--device cuda|cpu]
#
# Packages that are missing are installed from the folder wheels/ of the checkout where there is one (a machine without a
# network), else from the package index.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! python3 -c "import torch" 2>/dev/null; then
  echo "error: $(command -v python3) has no torch; expected an environment with it" >&2
  exit 2
fi
missing=$(python3 - <<'PY'
from importlib.util import find_spec
needed = {"hydra": "hydra-core", "omegaconf": "omegaconf", "pydantic": "pydantic", "filelock": "filelock",
          "safetensors": "safetensors", "numba": "numba", "pytest": "pytest", "xdist": "pytest-xdist", "hypothesis": "hypothesis"}
print(" ".join(package for module, package in needed.items() if find_spec(module) is None))
PY
)
if [ -n "$missing" ]; then
  source=()
  [ -d wheels ] && source=(--no-index --find-links wheels)
  # shellcheck disable=SC2086
  python3 -m pip install --quiet "${source[@]}" $missing || exit 2
fi
exec python3 scripts/cuda_check.py "$@"
