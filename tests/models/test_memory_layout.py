"""Convolutions' weights lie channels-last in memory, which changes how long a step takes and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from launching import resolved

from hfvae_runner.config import schema
from hfvae_runner.runs import assembly, single
from hfvae_runner.training.checkpoint import State, restore
from hfvae_runner.training.run import Run
from hfvae_runner.training.step import step_of

CHANNELS_LAST = torch.channels_last
SETTING = ["dataset=digits", "image_size=32", "model=conv_joint32", "objective=joint_vae", "batch_size=8", "threads=1"]


def a_run(*overrides: str) -> tuple[Run, State]:
    config = schema.parse(resolved(*SETTING, *overrides))
    assembly.use_threads(config)
    run = assembly.assemble(config)
    run.model.train()
    return run, single.initial_state(run)


def train(run: Run, state: State, steps: int) -> list[float]:
    take_step = step_of(run.loss, state.optimizer)
    losses = []
    for _ in range(steps):
        batch = run.batches.at(state.step)
        noise = run.model.latents.noise(len(batch.x), state.generator)
        own_noise = run.objective.noise(len(batch.x), state.generator)
        loss, _ = take_step(*batch, noise, own_noise, run.objective.knobs(state.step, run.device))
        state.step += 1
        losses.append(loss.item())
    return losses


@pytest.fixture(autouse=True)
def _threads_again() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def is_moved(tensor: torch.Tensor) -> bool:
    """Whether it lies channels-last, where that is not the same as how it would lie else."""
    return tensor.is_contiguous(memory_format=CHANNELS_LAST) and not tensor.is_contiguous()


def test_weights_and_what_layers_give_lie_channels_last() -> None:
    run, state = a_run()
    assert is_moved(run.model.encoder[2].weight)
    given: list[torch.Tensor] = []
    handles = [
        layer.register_forward_hook(lambda layer, inputs, output: given.append(output))
        for layer in (run.model.encoder[0], run.model.encoder[4], run.model.decoder[5], run.model.decoder[7])
    ]
    train(run, state, 1)
    for handle in handles:
        handle.remove()
    assert len(given) == 4 and all(is_moved(output) for output in given)
    weight = run.model.encoder[2].weight
    assert state.optimizer.state[weight]["exp_avg"].stride() == weight.stride()


def test_the_losses_are_those_of_contiguous_weights() -> None:
    run, state = a_run()
    losses = train(run, state, 6)
    other, other_state = a_run()
    other.model.to(memory_format=torch.contiguous_format)
    assert not is_moved(other.model.encoder[2].weight)
    torch.testing.assert_close(losses, train(other, other_state, 6), rtol=1e-5, atol=0)


def test_a_resumed_run_is_the_same_to_the_bit(tmp_path: Path) -> None:
    run, state = a_run()
    train(run, state, 3)
    path = state.save(tmp_path, keep=1, config_text="")
    rest = train(run, state, 3)
    again, again_state = a_run()
    restore(again_state, path)
    assert train(again, again_state, 3) == rest
    for one, other in zip(run.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_of_another_layout_goes_on(tmp_path: Path) -> None:
    run, state = a_run()
    run.model.to(memory_format=torch.contiguous_format)
    train(run, state, 3)
    path = state.save(tmp_path, keep=1, config_text="")
    saved = torch.load(path, weights_only=True)["optimizer"]["state"].values()
    assert not any(is_moved(moments["exp_avg"]) for moments in saved if moments["exp_avg"].ndim == 4)
    again, again_state = a_run()
    restore(again_state, path)
    weight = again.model.encoder[2].weight
    moments = again_state.optimizer.state[weight]
    assert moments["exp_avg"].stride() == moments["exp_avg_sq"].stride() == weight.stride()
    # Moments that belong to other weights would show after one step.
    torch.testing.assert_close(train(again, again_state, 3), train(run, state, 3), rtol=1e-5, atol=0)
    for one, other in zip(run.model.parameters(), again.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-4)
