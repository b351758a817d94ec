"""Builds metrics.json and the figures of a finished run."""

from collections.abc import Mapping

import torch

from hfvae_runner import __version__
from hfvae_runner.data import Split
from hfvae_runner.errors import Diverged
from hfvae_runner.evaluation import document_models
from hfvae_runner.evaluation.decomposition import Encoded, Evaluation, encode, evaluate
from hfvae_runner.evaluation.representation import measure, represented
from hfvae_runner.metrics import Representation
from hfvae_runner.metrics.label_information import label_contributions
from hfvae_runner.storage.provenance import commit
from hfvae_runner.storage.run_folder import SCHEMA, RunFolder, checkpoint_of
from hfvae_runner.training.checkpoint import State
from hfvae_runner.training.run import Run
from hfvae_runner.training.seeds import derived


def results(run: Run, folder: RunFolder, state: State) -> dict[str, object]:
    """Encode and measure every split, and draw the figures.

    Args:
        run: a trained run.
        folder: the run folder, in which the figures are saved.
        state: the state at the end of the training.

    Returns:
        The content of metrics.json.

    Raises:
        Diverged: a value is not finite.
        RunnerError: a chosen metric cannot be computed from these data.
    """
    encoded, representations = _encodings(run)
    try:
        evaluations = {name: _evaluated(run, name, each) for name, each in encoded.items()}
    except Diverged as error:
        raise _diverged(error, state, folder) from None
    for name, each in encoded.items():
        evaluations[name].metrics.update(_measured(run, name, each, representations))
    of_text = _text_results(run, encoded, evaluations, folder)
    if run.config.metrics.figures:
        _draw(run, encoded["test"], evaluations["test"], representations, folder)
    return {
        "schema": SCHEMA,
        "status": "completed",
        "run": _description(run, state),
        "prior": {"name": run.config.choices["prior"], **run.model.latents.settings()},
        "likelihood": {"name": run.model.likelihood.name, **run.model.likelihood.settings()},
        "dataset": {"name": run.config.choices["dataset"], "notes": dict(run.dataset.notes)},
        "measured": run.config.metrics.options,
        **{name: evaluation.metrics for name, evaluation in evaluations.items()},
        **of_text,
    }


def observed(run: Run, folder: RunFolder, state: State) -> dict[str, object]:
    """Measure the test split during training, as at its end; the model is left in evaluation mode.

    Raises:
        Diverged: a value is not finite.
        RunnerError: a chosen metric cannot be computed from these data.
    """
    try:
        return {"step": state.step, "test": split_metrics(run, "test")}
    except Diverged as error:
        raise _diverged(error, state, folder) from None


def split_metrics(run: Run, name: str) -> dict[str, object]:
    """Compute one split's section of metrics.json, without the perplexities of documents.

    Raises:
        Diverged: a value is not finite.
        RunnerError: a chosen metric cannot be computed from these data.
    """
    splits = splits_of(run)
    encoded = {each: _encoded(run, each, splits[each]) for each in dict.fromkeys(("train", name))}
    evaluation = _evaluated(run, name, encoded[name])
    representations = {each: represented(encoded[each], run.dataset) for each in encoded}
    return {**evaluation.metrics, **_measured(run, name, encoded[name], representations)}


def splits_of(run: Run) -> dict[str, Split]:
    """Return the data set's splits by their names in metrics.json."""
    found = {"train": run.dataset.train, "test": run.dataset.test}
    found |= {} if run.dataset.test_sampled is None else {"test_sampled": run.dataset.test_sampled}
    return found | ({} if run.dataset.holdout is None else {"holdout": run.dataset.holdout})


def measured_again(run: Run, folder: RunFolder, *, whole: bool) -> dict[str, dict[str, object]]:
    """Compute the chosen metrics on every split of a finished run.

    Args:
        run: the run, with its trained parameters.
        folder: the run folder, in which the figures are saved.
        whole: whether to evaluate the ELBO and its terms again, and to draw the figures if ``metrics.figures`` is set.

    Returns:
        The metrics by section of metrics.json.

    Raises:
        RunnerError: a metric cannot be computed from these data with these options.
    """
    encoded, representations = _encodings(run)
    sections = {name: _measured(run, name, each, representations) for name, each in encoded.items()}
    if not whole:
        return sections
    evaluations = {name: _evaluated(run, name, each) for name, each in encoded.items()}
    of_text = _text_results(run, encoded, evaluations, folder)
    if run.config.metrics.figures:
        _draw(run, encoded["test"], evaluations["test"], representations, folder)
    return {**{name: {**evaluations[name].metrics, **found} for name, found in sections.items()}, **of_text}


def _encodings(run: Run) -> tuple[dict[str, Encoded], dict[str, Representation]]:
    """Return every split encoded, and as plain arrays."""
    encoded = {name: _encoded(run, name, split) for name, split in splits_of(run).items()}
    return encoded, {name: represented(each, run.dataset) for name, each in encoded.items()}


def _draw(
    run: Run, test: Encoded, evaluation: Evaluation, representations: Mapping[str, Representation], folder: RunFolder
) -> None:
    """Draw the figures of the test split and save them in the folder."""
    # matplotlib takes a second to import.
    from hfvae_runner.evaluation.run_figures import figures

    known = label_contributions(representations["test"], representations["train"])
    for name, figure in figures(run.model, run.dataset, test, evaluation, known, folder.history.read(), run.device):
        folder.save_figure(name, figure)


def _encoded(run: Run, name: str, split: Split) -> Encoded:
    seed = derived(run.config.seed, "evaluation", name)
    return encode(
        run.model,
        split,
        seed=seed,
        batch_size=run.config.metrics.batch_size,
        device=run.device,
        show_progress=run.config.train.progress,
    )


def _measured(
    run: Run, name: str, encoded: Encoded, representations: Mapping[str, Representation]
) -> dict[str, object]:
    return measure(
        run.metrics,
        run.model,
        splits_of(run)[name],
        encoded,
        (representations[name], representations["train"]),
        name=name,
        seed=run.config.seed,
        batch_size=run.config.metrics.batch_size,
        supervised=run.supervised_block,
        show_progress=run.config.train.progress,
    )


def _evaluated(run: Run, name: str, encoded: Encoded) -> Evaluation:
    try:
        return evaluate(encoded, run.config.metrics.exact_limit, show_progress=run.config.train.progress)
    except Diverged as error:
        raise Diverged(f"{error} on the {name} split") from None


def _diverged(error: Diverged, state: State, folder: RunFolder) -> Diverged:
    checkpoint = checkpoint_of(folder.path)
    kept = "there is no checkpoint before it" if checkpoint is None else f"its checkpoint is {checkpoint.resolve()}"
    return Diverged(f"training diverged: {error} after step {state.step} with lr={state.lr:g}; {kept}")


def _text_results(
    run: Run, encoded: Mapping[str, Encoded], evaluations: Mapping[str, Evaluation], folder: RunFolder
) -> dict[str, dict[str, object]]:
    """Return the section ``topics`` if the model has topics of documents, else an empty dict.

    For documents, also add the perplexities to the splits' metrics and save the topics' figures in the folder.
    """
    if run.dataset.vocabulary is None:
        return {}
    splits = splits_of(run)
    for name, evaluation in evaluations.items():
        of_split = splits[name], encoded[name], evaluation.elbo
        evaluation.metrics.update(document_models.perplexities(*of_split, run.model.likelihood.name))
    topics = document_models.topics_of(run.model, run.dataset, encoded["test"], evaluations["test"].information)
    if topics is None:
        return {}
    if run.config.metrics.figures:
        about = document_models.attribute_information(encoded["test"], encoded["train"])
        for name, figure in document_models.topic_figures(topics, run.dataset, about):
            folder.save_figure(name, figure)
    return {"topics": document_models.topic_metrics(topics, encoded["test"])}


def _description(run: Run, state: State) -> dict[str, object]:
    """Return the ``run`` section of metrics.json; seconds and examples per second are of training, over all resumes."""
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
        "restarts": state.restarts,
        "init_from": state.initialised,
        "given_factors": {each.factor: each.latent for each in run.assignments},
        "wall_seconds": state.seconds,
        "examples_per_second": examples / state.seconds,
        "versions": {"hfvae_runner": __version__, "commit": commit(), "torch": str(torch.__version__)},
    }
