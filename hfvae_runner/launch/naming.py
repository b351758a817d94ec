"""A run's name, made of its overrides in characters that are safe in shells, file systems and Hydra's grammar."""

import hashlib
import re
from collections.abc import Sequence
from typing import cast

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import ListConfig, OmegaConf

# Length, place, resumption, measurement and display of a run: changing these does not make it another run.
NOT_PART_OF_THE_NAME = (
    "resume",
    "trust",
    "steps",
    "epochs",
    "device",
    "data_root",
    "debug",
    "dataset.download",
    "optimized_metric",
    "on_divergence",
    "threads",
    "metrics",
    "trackers",
)
_SECTIONS = ("hydra.", "hydra/", "checkpoints.", "metrics.", "trackers.")

_READABLE_LENGTH = 100


def run_name(overrides: Sequence[str]) -> str:
    """Return the name of a run: a readable part in [A-Za-z0-9._-], then 8 hex digits of its overrides' SHA-256.

    The order of the overrides and the quotes around values do not matter, and the last of several values for a key
    counts. The name is ``default-XXXXXXXX`` if no override makes it another run.
    """
    named = {
        override.get_key_element(): override
        for override in OverridesParser.create().parse_overrides(list(overrides))
        if override.key_or_group not in NOT_PART_OF_THE_NAME and not override.key_or_group.startswith(_SECTIONS)
    }
    identity = sorted(f"{key}={_canonical(override)}" for key, override in named.items())
    readable = "_".join(_readable(text) for text in identity)[:_READABLE_LENGTH].strip("._-")
    digest = hashlib.sha256("\n".join(identity).encode()).hexdigest()
    return f"{readable or 'default'}-{digest[:8]}"


def register() -> None:
    """Register ``${run_name:}``, the name of the run that Hydra is configuring."""
    OmegaConf.register_new_resolver("run_name", _current_name, replace=True)


def _current_name() -> str:
    # Unresolved: an interpolation in an override enters the name as typed.
    overrides = OmegaConf.to_container(cast(ListConfig, HydraConfig.get().overrides.task), resolve=False)
    return run_name(cast(list[str], overrides))


def _canonical(override: Override) -> str:
    value = override.value()
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 1e3 is 1000
    # repr distinguishes the number 12 from the text '12', escapes line breaks, and drops the quotes of Hydra's grammar.
    return repr(value)


def _readable(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text.replace("'", "")).strip("-")
