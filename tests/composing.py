"""Makes Hydra compose configs faster, since composing takes longer than most runs of the tests.

Most configs that the tests compose choose the same files of conf/ and differ in values only. The list of files and
their merged content are therefore kept for each choice of names, and only the values are applied each time. A config
that needs files from outside of conf/ is composed without this cache.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from hfvae_runner.launch.composition import config_folder

_FIXED = {"hydra.conf", "", str(config_folder())}


def compose_less(patch: pytest.MonkeyPatch) -> None:
    """Patches Hydra until the end of the patch's context."""
    look_up = Hydra.get_mode
    create, merge = config_loader_impl.create_defaults_list, ConfigLoaderImpl._compose_config_from_defaults_list
    lists: dict[object, Any] = {}
    merged: dict[object, DictConfig] = {}

    def get_mode(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
        """Hydra composes a whole config for this value alone."""
        return look_up(self, config_name, overrides) if any("hydra.mode" in each for each in overrides) else None

    def create_defaults_list(*, repo: Any, overrides_list: list[Override], **options: Any) -> Any:
        if not _are_fixed(repo):
            return create(repo=repo, overrides_list=overrides_list, **options)
        values = [each for each in overrides_list if not _is_choice(each, repo)]
        choices = tuple(each.input_line for each in overrides_list if _is_choice(each, repo))
        place = (choices, *sorted(options.items()))
        if place not in lists:
            lists[place] = create(repo=repo, overrides_list=overrides_list, **options)
        return replace(lists[place], config_overrides=[each for each in values if not each.is_sweep_override()])

    def compose(self: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> DictConfig:
        if not _are_fixed(repo):
            return merge(self, defaults, repo)
        place = tuple((each.config_path, each.parent, each.package, each.is_self) for each in defaults)
        if place not in merged:
            merged[place] = merge(self, defaults, repo)
        return deepcopy(merged[place])

    patch.setattr(Hydra, "get_mode", get_mode)
    patch.setattr(config_loader_impl, "create_defaults_list", create_defaults_list)
    patch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose)


def _are_fixed(repo: Any) -> bool:
    """Whether all files are Hydra's or those of conf/."""
    return all(source.path in _FIXED for source in repo.get_sources())


def _is_choice(override: Override, repo: Any) -> bool:
    return bool(repo.group_exists(override.key_or_group)) and not isinstance(override.value(), dict)
