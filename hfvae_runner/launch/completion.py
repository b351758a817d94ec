"""Tab completion for bash, as a script that needs neither Python nor Hydra while one types.

    hfvae_runner --completion > ~/.local/share/bash-completion/completions/hfvae_runner

installs it: bash-completion reads that file at the first tab. The script holds the names of this installation; write it
again after an update.
"""

from collections.abc import Iterator, Mapping

import yaml

from hfvae_runner.config.schema import SETTINGS, Config
from hfvae_runner.config.validation import Fragment, kind_schema
from hfvae_runner.launch.composition import config_folder
from hfvae_runner.launch.help import GROUPS, SECTIONS, names, properties

_FLAGS = ("--help", "--version", "--multirun", "-m", "--cfg", "--completion")
_SCRIPT = """\
# bash completion for hfvae_runner; written by: hfvae_runner --completion
_hfvae_runner() {{
  local line=${{COMP_LINE:0:COMP_POINT}} word key
  word=${{line##*[[:space:]]}}
  key=${{word%%=*}}
  COMPREPLY=()
  if [[ $word == *=* ]]; then
    local values=
    case "${{key#+}}" in
{values}
    esac
    # Of a list a,b,c the last name is completed. bash splits words at = and replaces what stands behind it.
    local given=${{word#*=}}
    local before=
    [[ $given == *,* ]] && before=${{given%,*}},
    COMPREPLY=($(compgen -P "$before" -W "$values" -- "${{given##*,}}"))
  else
    COMPREPLY=($(compgen -W "{words}" -- "$word"))
    [[ ${{COMPREPLY-}} == *= ]] && compopt -o nospace
  fi
}}
complete -F _hfvae_runner hfvae_runner
"""


def script() -> str:
    """Return the script: groups, their choices, every knob, and the values of knobs that have a fixed set."""
    values = dict(_values())
    cases = [f'      {key}) values="{" ".join(known)}" ;;' for key, known in values.items() if known]
    words = [f"{'+' if key == 'experiment' else ''}{key}=" for key in values]
    return _SCRIPT.format(values="\n".join(cases), words=" ".join([*words, *_FLAGS]))


def _values() -> Iterator[tuple[str, list[str]]]:
    """Yield every key with the values that it may have, as far as they are a fixed set."""
    for group in GROUPS:
        yield group, names(group)
    schema = kind_schema(Config)
    settings = properties(schema, ())
    yield from ((key, _fixed(settings[key])) for key in SETTINGS)
    for section in SECTIONS:
        own = properties(schema, (section,))
        yield from ((f"{section}.{key}", _fixed(own[key])) for key in own if key != "chosen")
    yield from ((key, []) for key in sorted(_knobs()))


def _fixed(fragment: Fragment) -> list[str]:
    """Return the words that a key may be, or examples of them."""
    if fragment.get("type") == "boolean":
        return ["true", "false"]
    named = fragment.get("enum") or fragment.get("examples") or ()
    return [str(each) for each in named]


def _knobs() -> set[str]:
    """Return the knobs of all objectives and divergences."""
    found: set[str] = set()
    for group in ("objective", "divergence"):
        for name in names(group):
            content = yaml.safe_load((config_folder() / group / f"{name}.yaml").read_text(encoding="utf-8"))
            if isinstance(content, Mapping):
                found |= {
                    str(key) for key in content if key not in ("objective", "defaults", "train", "prior", "dataset")
                }
    return found - set(GROUPS) - set(SETTINGS) - set(SECTIONS)
