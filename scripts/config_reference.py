"""Writes docs/reference from the config's types and from conf/: config.md, choices.md, JSON schemas.

The schemas' paths are written into the files of conf/, and the default settings into hfvae_runner/report/defaults.json:
a report compares runs with them, and does not import Hydra.

    python scripts/config_reference.py

Editors that support schemas for YAML (the YAML language server) read the schema's path from a comment in the file.
"""

import inspect
import json
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from _reference import objectives
from omegaconf import OmegaConf
from pydantic import TypeAdapter

# Use this checkout's package, installed or not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hfvae_runner.config import control, schedules
from hfvae_runner.config.schema import BROUGHT_GROUPS, METRICS_SETTINGS, Config
from hfvae_runner.config.validation import EXPECTED, Fragment, kind_schema, words
from hfvae_runner.launch import help
from hfvae_runner.launch.composition import composed
from hfvae_runner.report.settings import as_text, settings_of
from hfvae_runner.runs.parts import GROUPS, OF_EVERY_DATASET

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
REFERENCE = ROOT / "docs" / "reference"
TABLE = REFERENCE / "config.md"
CHOICES = REFERENCE / "choices.md"
SCHEMAS = REFERENCE / "schema"
DEFAULTS = ROOT / "hfvae_runner" / "report" / "defaults.json"

_NAMED = "# yaml-language-server: $schema="
_TARGETS = ("dataset", "model", "likelihood", "prior", "metrics", "trackers")
_IS_GLOBAL = "# @package _global_"  # a file that is a part of the whole config
_REFERENCE = {"type": "string", "pattern": r"\$\{.+\}", "description": "another key's value"}
_NUMBER_OR_SCHEDULE = {
    "anyOf": [
        {"type": "number"},
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {
                "linear": {"type": "array", "minItems": 3, "maxItems": 3},
                "cosine": {"type": "array", "minItems": 3, "maxItems": 3},
                "piecewise": {"type": "array", "minItems": 1},
                "stairs": {"type": "array", "minItems": 4, "maxItems": 5},
                "sum": {"type": "array", "minItems": 1},
                "product": {"type": "array", "minItems": 2, "maxItems": 2},
                "negative": {},
            },
        },
        _REFERENCE,
    ],
    "description": "a number or a schedule such as {linear: [0, 4, 1000]}",
}


def outputs() -> dict[Path, str]:
    """Return every file that this program writes, with its content."""
    options = {group: _options(group) for group in _TARGETS}
    schemas = {"config": _whole(options), "train": _part("train")}
    schemas |= {group: _group(options[group]) for group in _TARGETS if group != "dataset"}
    files = {SCHEMAS / f"{name}.json": _json(schema) for name, schema in schemas.items()}
    files[TABLE] = _table(options)
    files[CHOICES] = _choices()
    files[DEFAULTS] = _json({key: as_text(value) for key, value in settings_of(composed([])).items()})
    return files | {path: _with_schema(path) for path in conf_files()}


def conf_files() -> list[Path]:
    """Return every YAML file of conf/."""
    return sorted(CONF.rglob("*.yaml"))


def schema_of(path: Path) -> Path:
    """Return the path of the schema of a file of conf/."""
    whole = path.parent == CONF or _IS_GLOBAL in path.read_text(encoding="utf-8").splitlines()
    return SCHEMAS / f"{'config' if whole else path.parent.name}.json"


def _with_schema(path: Path) -> str:
    up = "../" * len(path.relative_to(ROOT).parts[:-1])
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rest = [line for line in lines if not line.startswith(_NAMED)]
    # Hydra reads a package from the first line only.
    first = 1 if rest[0].startswith("# @package") else 0
    rest.insert(first, f"{_NAMED}{up}{schema_of(path).relative_to(ROOT).as_posix()}\n")
    return "".join(rest)


class _Options:
    """The options of a function in a config.

    Attributes:
        target: the function's dotted path.
        types: each option's JSON schema, with its meaning if the function's docstring contains it.
        defaults: the values in conf/.
    """

    def __init__(self, group: str, target: str, defaults: Mapping[str, object]) -> None:
        module, _, name = target.rpartition(".")
        function = getattr(import_module(module), name)
        said = _meanings(inspect.getdoc(function) or "")
        self.target = target
        self.defaults = defaults
        self.types: dict[str, Fragment] = {}
        for key, argument in inspect.signature(function).parameters.items():
            if key not in _derived(group):
                meaning = {"description": said[key]} if key in said else {}
                self.types[key] = {**_shown_to_editors(_type_of(argument, key)), **meaning}


def _derived(group: str) -> tuple[str, ...]:
    """Return the arguments of a group's functions that are not from the config."""
    return GROUPS[group][1] if group in GROUPS else ("subject",)


def _type_of(argument: inspect.Parameter, key: str) -> Fragment:
    if key == "tree":  # a nested list of whole numbers, a type that pydantic cannot describe
        return {"type": "array", EXPECTED: "a tree such as [1, [2]]"}
    return kind_schema(argument.annotation)


def _meanings(docstring: str) -> dict[str, str]:
    """Return each argument's description in a docstring: a line ``name: …`` and the more indented lines below it."""
    found = re.finditer(r"^( *)([a-z_]+): (.+(?:\n\1 +\S.*)*)", docstring, re.MULTILINE)
    return {match[2]: " ".join(match[3].split()) for match in found}


def _options(group: str) -> dict[str, _Options]:
    """Return the options of every file of a group that names a function, by the file's name."""
    found = {}
    for path in sorted((CONF / group).glob("*.yaml")):
        content = OmegaConf.to_container(OmegaConf.load(path))
        assert isinstance(content, dict)
        section = content.get(group, content)
        if "_target_" in section:
            target = section.pop("_target_")
            found[path.stem] = _Options(group, target, {str(key): value for key, value in section.items()})
    return found


def _closed() -> Any:
    """Return the JSON schema of ``Config``, without the fields that are not config keys."""
    schema = TypeAdapter(Config).json_schema()
    metrics = schema["$defs"]["MetricsConfig"]
    del metrics["properties"]["chosen"], schema["properties"]["knobs"], schema["properties"]["resolved"]
    return schema


def _part(key: str) -> dict[str, Any]:
    """Return the schema of a file that is one section of the config."""
    schema = _closed()
    part = schema["$defs"][schema["properties"][key]["$ref"].rpartition("/")[2]]
    return _file(_shown_to_editors(part))


def _group(options: Mapping[str, _Options]) -> dict[str, Any]:
    """Return the schema of a file that names a function and its options, or lists other files."""
    schema = _by_target(options)
    schema["properties"]["defaults"] = {"type": "array"}
    return _file({**schema, "anyOf": [{"required": ["_target_"]}, {"required": ["defaults"]}]})


def _whole(options: Mapping[str, Mapping[str, _Options]]) -> dict[str, Any]:
    """Return the schema of config.yaml and of all files that are parts of it."""
    schema = _closed()
    own = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    assert isinstance(own, dict)
    unset = [key for key, value in own.items() if value is None]  # a data set's file may set them
    sections = {
        key: _shown_to_editors(_resolved(fragment, schema), nullable=key in unset)
        for key, fragment in schema["properties"].items()
    }
    for group in ("dataset", "model", "likelihood", "prior"):
        sections[group] = {**_by_target(options[group]), "description": sections[group]["description"]}
    for extra in OF_EVERY_DATASET:
        sections["dataset"]["properties"][extra] = {"anyOf": [{"type": ["object", "null"]}, _REFERENCE]}
    sections["metrics"]["additionalProperties"] = {"type": "object"}
    sections["objective"]["properties"]["terms"]["additionalProperties"] = {
        "anyOf": [*_weight()["anyOf"], _term_line()],
        "description": "a weight, or a term with its weight, target, cap and options",
    }
    sections |= {"defaults": {"type": "array"}, "hydra": {"type": "object"}}
    knob = {"anyOf": [*_weight()["anyOf"], {"type": ["boolean", "string", "array"]}]}
    return _file({"type": "object", "properties": sections, "additionalProperties": knob})


def _weight() -> dict[str, Any]:
    """Return the schema of a term's weight: a number, a schedule or a controller."""
    settings = {key: _shown_to_editors(kind_schema(kind)) for key, kind in control.SETTINGS.items()}
    controller = {
        "type": "object",
        "properties": {"target": _NUMBER_OR_SCHEDULE, **settings},
        "required": ["target"],
        "additionalProperties": False,
    }
    controlled = {
        "type": "object",
        "properties": {schedules.CONTROL: controller},
        "required": [schedules.CONTROL],
        "additionalProperties": False,
    }
    return {
        "anyOf": [*_NUMBER_OR_SCHEDULE["anyOf"], controlled],
        "description": "a number, a schedule such as {linear: [0, 4, 1000]}, or {pi_control: {target: 18}}",
    }


def _term_line() -> dict[str, Any]:
    from hfvae_runner.config import catalogue

    available = catalogue.terms()
    known = {
        "term": {"enum": list(available)},
        "weight": _weight(),
        "target": _NUMBER_OR_SCHEDULE,
        "cap": {"enum": ["log_categories", None]},
    }
    names = {name for own in available.values() for name in own}
    options: dict[str, object] = {name: {} for name in sorted(names)}
    return {"type": "object", "properties": known | options, "additionalProperties": False}


def _by_target(options: Mapping[str, _Options]) -> dict[str, Any]:
    """Return the schema of a section whose options depend on ``_target_``; a user's own function may have any."""
    targets = {each.target: each for each in options.values()}
    return {
        "type": "object",
        "properties": {"_target_": {"type": "string", "examples": list(targets)}},
        "allOf": [
            {
                "if": {"properties": {"_target_": {"const": target}}, "required": ["_target_"]},
                "then": {
                    "properties": {
                        **{key: {} for key in ("_target_", "defaults", *OF_EVERY_DATASET)},
                        **each.types,
                    },
                    "additionalProperties": False,
                },
            }
            for target, each in targets.items()
        ],
    }


def _shown_to_editors(fragment: Any, *, nullable: bool = False) -> Any:
    """Return a type's schema for files, in which keys may be missing and a value may be a reference to another key."""
    if "properties" in fragment:
        kept = {key: value for key, value in fragment.items() if key not in ("required", "title")}
        inner = {key: _shown_to_editors(value) for key, value in fragment["properties"].items()}
        return {**kept, "properties": inner}
    if fragment.get("type") == "object":
        return {key: value for key, value in fragment.items() if key not in ("title", "additionalProperties")}
    said = {key: value for key, value in fragment.items() if key == "description"}
    plain = {key: value for key, value in fragment.items() if key not in ("title", "description", EXPECTED)}
    if "prefixItems" in plain:
        plain["items"] = plain.pop("prefixItems")  # the form of draft 7, which editors support best
    if isinstance(plain.get("items"), dict):
        plain["items"] = _shown_to_editors(plain["items"])
    if "anyOf" in plain:
        plain["anyOf"] = [
            _shown_to_editors(kind) if kind.get("type") in ("array", "object") else kind for kind in plain["anyOf"]
        ]
    kinds = [{"type": "null"}] if nullable and {"type": "null"} not in plain.get("anyOf", ()) else []
    return {**said, "anyOf": [*plain.get("anyOf", [plain]), _REFERENCE, *kinds], EXPECTED: words(fragment)}


def _resolved(fragment: Any, schema: Any) -> Any:
    """Replace all references in a fragment by their targets; the fragment's own keys take precedence."""
    if isinstance(fragment, list):
        return [_resolved(each, schema) for each in fragment]
    if not isinstance(fragment, dict):
        return fragment
    own = {key: _resolved(value, schema) for key, value in fragment.items() if key != "$ref"}
    if "$ref" not in fragment:
        return own
    return {**_resolved(schema["$defs"][fragment["$ref"].rpartition("/")[2]], schema), **own}


def _file(schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_without_words(schema)}


def _without_words(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_words(value) for key, value in node.items() if key != EXPECTED}
    return [_without_words(each) for each in node] if isinstance(node, list) else node


def _json(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _table(options: Mapping[str, Mapping[str, _Options]]) -> str:
    """Return the text of docs/reference/config.md."""
    parts = [
        "# Every key of the config",
        "Written by `python scripts/config_reference.py` from the types in hfvae_runner/config/schema.py, from the "
        "functions that conf/ names, and from conf/.",
        "## The run",
        _rows(_run_keys()),
        "The rest of the top level is the chosen objective's own: conf/objective/*.yaml say which.",
    ]
    for group, files in options.items():
        parts.append(f"## `{group}`: options of each choice")
        for name, each in files.items():
            if each.types:
                rows = [(f"{key}", words(kind), each.defaults.get(key, ""), kind) for key, kind in each.types.items()]
                parts += [f"### `{group}={name}`", _rows(rows)]
    return "\n\n".join(parts) + "\n"


_Row = tuple[str, str, object, Fragment]


def _choices() -> str:
    """Return the page of all choices: what the first comment of each file says, and the file below it."""
    parts = [
        "# Every choice of conf/",
        "Written by `python scripts/config_reference.py` from the files of conf/. On the terminal, "
        "`python -m hfvae_runner --help objective` lists the choices of a group, `--help objective=hfvae` shows one.",
    ]
    for group, about in help.GROUPS.items():
        parts.append(f"## {group}\n\n{about[0].upper()}{about[1:]}.")
        if group == "objective":
            parts += [objectives.ABOUT, objectives.term_table(_as_text)]
        for name in help.names(group):
            comments, body = help.file(help.path_of(group, name))
            parts.append(f"### {group}={name}\n\n{_as_text(' '.join(comments))}")
            if group == "objective":
                parts += objectives.section(help.path_of(group, name), body, _as_text)
            elif body:
                parts.append("\n".join(["```yaml", *body, "```"]))
    return "\n\n".join(parts) + "\n"


def _as_text(words: str) -> str:
    """Return words in which no sign is read as Markdown, but for code between backticks; an arXiv number is a link."""
    pieces = words.split("`")
    pieces[::2] = [re.sub(r"([\\*_<>|\[\]])", r"\\\1", piece) for piece in pieces[::2]]
    return re.sub(r"\barXiv (\d{4}\.\d{5})\b", r"[arXiv \1](https://arxiv.org/abs/\1)", "`".join(pieces))


def _run_keys() -> list[_Row]:
    """Return the rows of the closed part: key, type, value in conf/, and schema."""
    schema = _closed()
    own: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    own["train"] = OmegaConf.to_container(OmegaConf.load(CONF / "train" / "default.yaml"))
    own["metrics"] = {key: own["metrics"][key] for key in METRICS_SETTINGS}
    rows: list[_Row] = []
    for key, fragment in schema["properties"].items():
        inner = _resolved(fragment, schema)
        if "properties" not in inner or "_target_" in inner["properties"] or key == "choices":
            rows.append((key, words(inner), "" if isinstance(own.get(key), dict) else own.get(key, ""), inner))
            continue
        rows += [
            (f"{key}.{name}", words(kind), own.get(key, {}).get(name, ""), kind)
            for name, kind in inner["properties"].items()
        ]
    return [row for row in rows if row[0] not in BROUGHT_GROUPS]


def _rows(rows: Sequence[_Row]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, kind, default, fragment in rows:
        value = "" if default == "" else f"`{_spelt(default)}`"
        cells = (f"`{key}`", kind, value, fragment.get("description", ""))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _spelt(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value


def main() -> None:
    SCHEMAS.mkdir(parents=True, exist_ok=True)
    for path, content in outputs().items():
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
