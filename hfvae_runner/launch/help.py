"""``--help``: the groups and knobs; ``--help GROUP``: what each choice of a group is; ``--help GROUP=NAME``: its file.

All text comes from conf/ and from the config's types. Hydra's own help takes seconds, because it loads every file once
for each group that it lists.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from shutil import get_terminal_size

from hfvae_runner.config.schema import SETTINGS, Config
from hfvae_runner.config.validation import Fragment, kind_schema
from hfvae_runner.errors import ConfigError, nearest
from hfvae_runner.launch.composition import config_folder

GROUPS: Mapping[str, str] = {
    "dataset": "what is trained on; each has its own defaults for the other groups",
    "objective": "the loss, and the knobs that it defines",
    "prior": "the latent variables: their blocks, posteriors and priors",
    "model": "the networks; by default those that the data set's file chooses",
    "likelihood": "p(x|z); auto fits the data",
    "divergence": "the divergence from q(z) to the prior, of objective=alpha_beta",
    "metrics": "what is measured; several as metrics=[default,dci]",
    "trackers": "services that show the run while it lasts",
    "experiment": "a paper's whole setting, as +experiment=NAME",
}
SECTIONS: Sequence[str] = ("supervision", "train", "runtime", "checkpoints", "metrics")
_DATASET = {
    "dataset.subset": "the number of training examples, or their share; the same ones for every seed",
    "dataset.sampling": "how often training examples are drawn, by their factors or labels",
    "dataset.holdout": "examples that are kept from training, or evaluated apart, and tested on",
    "dataset.pairs": "pairs of examples to train on, by their factors, a column or their order",
}
_COMMANDS = ("report", "evaluate", "encode", "explore", "score", "export", "reproduce")
_WIDEST = 110
_COMMENT = re.compile(r"^#(?! ?@package| ?yaml-language-server) ?(.*)$")
_SENTENCE = re.compile(r"(?<! al)(?<!App)\. (?=[A-ZΑ-Ω`])")


def text(topics: Sequence[str]) -> str:
    """Return the help.

    Args:
        topics: groups, and choices as GROUP=NAME; empty for the overview.

    Raises:
        ConfigError: there is no such group or choice.
    """
    width = min(_WIDEST, get_terminal_size().columns)
    if not topics:
        return "\n".join(_overview(width))
    return "\n\n".join("\n".join(_topic(topic, width)) for topic in topics)


def _overview(width: int) -> Iterator[str]:
    yield "Train a variational autoencoder, evaluate it, and leave one folder of results."
    yield ""
    yield "Usage: hfvae_runner [-m] [KEY=VALUE ...]"
    yield "       -m runs every combination of comma-separated values, one folder each"
    yield ""
    yield "Groups, chosen as GROUP=NAME:"
    for group, about in GROUPS.items():
        yield from textwrap.wrap(f"{group}: {about}", width, initial_indent="  ", subsequent_indent="    ")
        yield from _wrapped(", ".join(names(group)), width, " " * 6)
    yield ""
    yield "Knobs, set as KEY=VALUE:"
    settings = properties(kind_schema(Config), ())
    yield from _entries({key: _about(settings[key]) for key in SETTINGS}, width)
    yield from _entries({"alpha, beta, gamma, ...": "what the objective defines: numbers, or schedules"}, width)
    yield from _entries(_DATASET, width)
    for section in SECTIONS:
        own = properties(kind_schema(Config), (section,))
        yield from _entries({f"{section}.{key}": _about(own[key]) for key in own if key != "chosen"}, width)
    yield ""
    yield "hydra.run.dir=FOLDER names the run folder."
    yield "--cfg job shows every key and its value."
    yield "--completion prints a script with which bash completes groups, names and knobs."
    yield "--help objective says what each is; --help objective=hfvae shows its file."
    yield ""
    yield "Examples:"
    yield "  hfvae_runner objective=hfvae beta=12 gamma=4"
    yield "  hfvae_runner -m objective=hfvae,beta_tcvae beta=1,4,12 seed=0,1,2"
    yield "  hfvae_runner dataset=mnist 'beta={linear: [0, 4, 1000]}' resume=auto"
    yield ""
    others = f"{', '.join(_COMMANDS[:-1])} and {_COMMANDS[-1]}"
    yield from _wrapped(f"Other commands: python -m hfvae_runner.COMMAND --help, for {others}.", width, "")


def _topic(topic: str, width: int) -> Iterator[str]:
    group, separator, name = topic.lstrip("+").partition("=")
    if group not in GROUPS:
        raise ConfigError(
            f"--help {topic}: expected nothing, or one of {', '.join(GROUPS)}, or GROUP=NAME{nearest(group, GROUPS)}"
        )
    if not separator:
        yield f"{group}: {GROUPS[group]}"
        yield from _entries({each: first_sentence(path_of(group, each)) for each in names(group)}, width)
        return
    if name not in names(group):
        raise ConfigError(f"--help {topic}: expected one of {', '.join(names(group))}{nearest(name, names(group))}")
    comments, body = file(path_of(group, name))
    yield f"{'+' if group == 'experiment' else ''}{group}={name}"
    yield from _wrapped(" ".join(comments), width, "  ")
    if body:
        yield ""
        yield from (f"  {line}".rstrip() for line in body)


def names(group: str) -> list[str]:
    """Return the names of a group's choices, sorted."""
    return sorted(path.stem for path in (config_folder() / group).glob("*.yaml"))


def path_of(group: str, name: str) -> Path:
    """Return the file of a choice."""
    return config_folder() / group / f"{name}.yaml"


def file(path: Path) -> tuple[list[str], list[str]]:
    """Return the lines of a file's first comment, and the lines below it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = list(takewhile(lambda line: line.startswith("#"), lines))
    found = (_COMMENT.match(line) for line in comments)
    return [each[1] for each in found if each], lines[len(comments) :]


def first_sentence(path: Path) -> str:
    comments, _ = file(path)
    return _SENTENCE.split(" ".join(comments))[0].removesuffix(".")


def _entries(entries: Mapping[str, str], width: int) -> Iterator[str]:
    """Yield each name with its text beside it; below it if the name is long."""
    column = 24
    for name, about in entries.items():
        lines = textwrap.wrap(about, max(20, width - column)) or [""]
        if len(name) > column - 4:
            yield f"  {name}"
        else:
            yield f"  {name:<{column - 2}}{lines.pop(0)}"
        yield from (f"{'':{column}}{line}" for line in lines)


def _wrapped(words: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(words, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def properties(schema: Fragment, path: Sequence[str]) -> Mapping[str, Fragment]:
    """Return the schemas of the keys of a section of the config; an empty path is the whole config."""
    fragment = schema
    for key in ("", *path):
        fragment = fragment["properties"][key] if key else fragment
        while "$ref" in fragment:
            fragment = schema["$defs"][fragment["$ref"].rpartition("/")[2]]
    found: Mapping[str, Fragment] = fragment["properties"]
    return found


def _about(fragment: Fragment) -> str:
    return str(fragment.get("description", "")).replace("`", "")
