"""What a finished run leaves: its metrics.json, and its figures."""

from collections.abc import Mapping

import torch

from hfvae_runner import __version__, text_results
from hfvae_runner.datasets import Split
from hfvae_runner.errors import Diverged
from hfvae_runner.evaluate import Encoded, Evaluation, encode, evaluate
from hfvae_runner.record import LAST, RunFolder
from hfvae_runner.runtime.seeds import derived
from hfvae_runner.train import Run


def results(run: Run, folder: RunFolder, seconds: float) -> dict[str, object]:
    """Encodes and evaluates every split, and draws the figures.

    Args:
        run: trained.
        folder: where its figures go.
        seconds: that the training took, over all resumes.

    Returns:
        The content of metrics.json.

    Raises:
        Diverged: a value is not finite.
    """
    settings = run.config.metrics
    splits = {"train": run.dataset.train, "test": run.dataset.test}
    if run.dataset.holdout is not None:
        splits["holdout"] = run.dataset.holdout
    encoded: dict[str, Encoded] = {}
    evaluations: dict[str, Evaluation] = {}
    for name, split in splits.items():
        seed = derived(run.config.seed, "evaluation", name)
        encoded[name] = encode(run.model, split, seed=seed, batch_size=settings.batch_size, device=run.device)
        try:
            evaluations[name] = evaluate(
                encoded[name],
                encoded["train"],
                settings,
                n_classes=run.dataset.n_classes,
                seed=run.config.seed,
                supervised_block=run.supervised_block,
            )
        except Diverged as error:
            raise Diverged(
                f"training diverged: {error} on the {name} split after step {run.total_steps} with "
                f"lr={run.config.lr:g}; its checkpoint is {(folder.checkpoints / LAST).resolve()}"
            ) from None
    of_text = _text_results(run, splits, encoded, evaluations, folder) if run.dataset.vocabulary is not None else {}
    if settings.figures:
        # matplotlib takes a second to import.
        from hfvae_runner.illustrate import figures

        test = encoded["test"], evaluations["test"]
        for name, figure in figures(run.model, run.dataset, *test, folder.history.read(), run.device):
            folder.save_figure(name, figure)
    return {
        "schema": 1,
        "status": "completed",
        "run": _description(run, seconds),
        "prior": {"name": run.config.choices["prior"], **run.model.latents.settings()},
        "likelihood": {"name": run.config.choices["likelihood"], **run.model.likelihood.settings()},
        "dataset": {"name": run.config.choices["dataset"], "notes": dict(run.dataset.notes)},
        **{name: evaluation.metrics for name, evaluation in evaluations.items()},
        **of_text,
    }


def _text_results(
    run: Run,
    splits: Mapping[str, Split],
    encoded: Mapping[str, Encoded],
    evaluations: Mapping[str, Evaluation],
    folder: RunFolder,
) -> dict[str, object]:
    """The perplexities go to the splits' metrics, the figures to the folder; what is left is the section ``topics``."""
    for name, evaluation in evaluations.items():
        of_split = splits[name], encoded[name], evaluation.elbo
        evaluation.metrics.update(text_results.perplexities(*of_split, run.config.choices["likelihood"]))
    topics = text_results.topics_of(run.model, run.dataset, encoded["test"], evaluations["test"].information)
    if topics is None:
        return {}
    if run.config.metrics.figures:
        about = text_results.attribute_information(encoded["test"], encoded["train"])
        for name, figure in text_results.topic_figures(topics, run.dataset, about):
            folder.save_figure(name, figure)
    return {"topics": text_results.topic_metrics(topics, encoded["test"])}


def _description(run: Run, seconds: float) -> dict[str, object]:
    """The ``run`` section of metrics.json; seconds and rate are of the training, over all resumes."""
    config = run.config
    examples = run.total_steps * config.batch_size
    return {
        **config.choices,
        "knobs": config.knobs,
        "seed": config.seed,
        "device": str(run.device),
        "threads": torch.get_num_threads(),
        "steps": run.total_steps,
        "epochs": run.total_steps / run.batches.steps_per_epoch,
        "batch_size": config.batch_size,
        "examples_seen": examples,
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "wall_seconds": seconds,
        "examples_per_second": examples / seconds,
        "versions": {"hfvae_runner": __version__, "torch": str(torch.__version__)},
    }
