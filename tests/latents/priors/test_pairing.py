"""Every prior's file on the data that need nothing beside the repository: it runs, or is refused for a reason."""

import pytest
from launching import resolved
from variants import NAMES, TWO_BLOCKS

from hfvae_runner.config import schema
from hfvae_runner.errors import ConfigError
from hfvae_runner.runs import assembly

pytestmark = pytest.mark.usefixtures("workplace")
REFUSED = {
    ("pinwheel", "normal_concrete"): "the data set has no classes",
    ("digits", "quantised"): "block z is quantised",
    ("pinwheel", "quantised"): "block z is quantised",
}


@pytest.mark.parametrize("dataset", ["digits", "pinwheel"])
@pytest.mark.parametrize("name", NAMES)
def test_a_prior_fits_the_data_set_with_no_more_said(dataset: str, name: str) -> None:
    config = schema.parse(resolved(f"dataset={dataset}", f"prior={name}", "objective=vae"))
    if (dataset, name) in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[dataset, name]):
            assembly.assemble(config)
    else:
        latents = assembly.assemble(config).model.latents
        groups = 2 if name in TWO_BLOCKS else 1
        continuous = sum(block.n_code for block in latents.blocks if not block.discrete)
        assert continuous == groups * config.latents


def test_the_papers_two_groups_are_asked_for_by_their_size() -> None:
    config = schema.parse(resolved("prior=two_groups", "latents=25", "objective=vae"))
    assert [block.n_code for block in assembly.assemble(config).model.latents.blocks] == [25, 25]


def test_a_layout_is_said_on_the_command_line() -> None:
    config = schema.parse(
        resolved("prior=isa", "latents=20", "prior.subspaces=4", "prior.learned=true", "objective=vae")
    )
    assert [block.n_code for block in assembly.assemble(config).model.latents.blocks] == [4] * 5
    config = schema.parse(resolved("prior=lp_nested", "latents=3", "prior.tree=[1,[2]]", "objective=vae"))
    assert [block.n_code for block in assembly.assemble(config).model.latents.blocks] == [1, 2]
