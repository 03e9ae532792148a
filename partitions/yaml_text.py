"""Plain data as YAML that every reader understands alike.

YAML 1.1 readers (PyYAML, and with it Dagster) take ``yes`` for true, ``2013-01-31`` for a date and ``1e-3`` for text;
YAML 1.2 readers do not. Reading follows 1.2, which is what people mean; writing quotes whatever either would misread.
"""

import re
from typing import Any

import yaml

from partitions.errors import DeclarationError

try:  # in C, several times as fast, and not built everywhere
    from yaml import CSafeDumper as Dumper
except ImportError:
    from yaml import SafeDumper as Dumper  # type: ignore[assignment]  # the same interface

_MARK = "tag:yaml.org,2002:"
_CORE = (
    ("null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF")),
    ("int", re.compile(r"[-+]?[0-9]+"), list("-+0123456789")),
    ("float", re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), list("-+.0123456789")),
    ("float", re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), list("-+.")),
)


class _Reader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for position, key in enumerate(keys) if key in keys[:position]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return int(node.value)  # not 1.1's reading, in which 010 is 8


class _Writer(Dumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


for _kind, _pattern, _first in _CORE:
    _whole = re.compile(rf"^(?:{_pattern.pattern})$")
    _Reader.add_implicit_resolver(_MARK + _kind, _whole, _first)
    _Writer.add_implicit_resolver(_MARK + _kind, _whole, _first)
_Reader.add_constructor(_MARK + "int", _Reader.construct_yaml_int)


def read_yaml(text: str, source: str) -> Any:
    """What ``text`` holds. Where it is not YAML, the DeclarationError names ``source`` and the line, in one line."""
    try:
        return yaml.load(text, Loader=_Reader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}" if mark else source
        raise DeclarationError(where, f"not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise DeclarationError(source, f"not valid YAML: {' '.join(str(error).split())}") from error


def write_yaml(value: Any) -> str:
    """Plain data (see ``plain``) as YAML, in its own order; ``read_yaml`` gives back exactly the same."""
    text: str = yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=10_000)
    return text
