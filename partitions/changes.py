"""How configurations differ: what is declared against what is registered, and one registration against the next."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import Field

from partitions.catalogue import Origin, SubprojectConfiguration
from partitions.values import Value, canonical_json, digest_of

_ABSENT = object()


class FieldChange(Value):
    """One value that differs; None where it is not there. ``origin``: where the declared value is set."""

    path: str
    before: Any = None
    after: Any = None
    origin: Origin


class Changes(Value):
    """Declared against registered, by key: what ``apply`` would register, change, bring back and retire.

    ``brought_back``: retired once and declared again, with what differs from the configuration they had then.
    ``unchanged`` counts the rest.
    """

    new: tuple[str, ...] = ()
    changed: dict[str, tuple[FieldChange, ...]] = Field(default_factory=dict)
    brought_back: dict[str, tuple[FieldChange, ...]] = Field(default_factory=dict)
    retired: tuple[str, ...] = ()
    unchanged: int = 0

    @property
    def nothing(self) -> bool:
        return not (self.new or self.changed or self.brought_back or self.retired)

    def differing(self, other: "Changes") -> list[str]:
        """The subprojects that the two do not change alike."""
        mine, theirs = self._by_key(), other._by_key()
        return [key for key in dict.fromkeys([*mine, *theirs]) if mine.get(key) != theirs.get(key)]

    def among(self, keys: Collection[str]) -> "Changes":
        """Only what concerns these subprojects; none of them counts as unchanged."""
        wanted = set(keys)
        return Changes(
            new=tuple(key for key in self.new if key in wanted),
            changed={key: fields for key, fields in self.changed.items() if key in wanted},
            brought_back={key: fields for key, fields in self.brought_back.items() if key in wanted},
            retired=tuple(key for key in self.retired if key in wanted),
        )

    def _by_key(self) -> dict[str, str]:
        by_key = dict.fromkeys(self.new, "new") | dict.fromkeys(self.retired, "retired")
        for kind, changed in (("changed", self.changed), ("brought back", self.brought_back)):
            by_key |= {
                key: canonical_json([kind, *(field.model_dump(mode="json", exclude={"origin"}) for field in fields)])
                for key, fields in changed.items()
            }
        return by_key


@dataclass(frozen=True)
class Known:
    """What is registered, by digest; no digest where there is a partition that was never registered.

    ``former``: subprojects that were retired, by the digest they had then.
    """

    live: Mapping[str, str]
    former: Mapping[str, str] = field(default_factory=dict)


Read = Callable[[Sequence[str]], Mapping[str, SubprojectConfiguration]]


def diff(
    declared: Mapping[str, SubprojectConfiguration], digests: Mapping[str, str], known: Known, read: Read
) -> Changes:
    """What differs, value by value; whole configurations are read (by key, all at once) only of what does.

    ``digests``: those of the declared configurations.

    An origin alone that differs is no change. Digests that an earlier version of this package computed otherwise
    cost reading the configurations, and nothing else.
    """
    live = {key: digest for key, digest in known.live.items() if digest}
    differing = [key for key in declared if key in live and live[key] != digests[key]]
    back = [key for key in declared if key not in live and key in known.former]
    registered = read([*differing, *back]) if differing or back else {}
    changed = {
        key: field_changes(registered[key], declared[key])
        for key in differing
        if registered[key].digest != digests[key]
    }
    new = tuple(key for key in declared if key not in live and key not in known.former)
    return Changes(
        new=new,
        changed=changed,
        brought_back={key: field_changes(registered[key], declared[key]) for key in back},
        retired=tuple(key for key in known.live if key not in declared),
        unchanged=len(declared) - len(new) - len(changed) - len(back),
    )


class Plan(Changes):
    """Changes with what they hold for: a plan is good while both sides are as they were when it was made.

    registered, declared: digests over all subprojects of either side. as_of: the last event of registration seen.
    Its JSON form is what ``mlops plan --json`` prints and ``mlops apply --plan`` takes.
    """

    project: str
    made_at: datetime
    made_by: str
    as_of: int
    registered: str
    declared: str


def digests_of(configurations: Mapping[str, SubprojectConfiguration]) -> dict[str, str]:
    """The digest of each."""
    return {key: configuration.digest for key, configuration in configurations.items()}


def digest_over(digests: Mapping[str, str]) -> str:
    """One digest over the digests of many subprojects, in whichever order."""
    return digest_of(dict(digests))


def field_changes(before: SubprojectConfiguration, after: SubprojectConfiguration) -> tuple[FieldChange, ...]:
    """Every value that differs between two configurations of a subproject, in the order of the fields."""
    return tuple(
        FieldChange(path=path, before=old, after=new, origin=after.origin_of(path))
        for path, old, new in _differences(_by_name(before), _by_name(after), "")
    )


def _by_name(configuration: SubprojectConfiguration) -> dict[str, Any]:
    """As plain data, with gates and stages by name instead of by position: one more must not change all that follow."""
    fields = configuration.model_dump(mode="json", exclude={"origins"})
    fields["search_space"] = fields["search_space"]["dimensions"]
    fields["stages"] = _named(fields["stages"])
    for stage in fields["stages"].values():
        if stage["gates"] is not None:
            stage["gates"] = _named(stage["gates"])
    fields["gates"] = _named(fields["gates"])
    return fields


class _Named(dict[str, Any]):
    """Items of a list by name; their order still counts."""

    def order(self, among: "_Named") -> list[str]:
        return [name for name in self if name in among]


def _named(items: list[dict[str, Any]]) -> _Named:
    named = _Named()
    for item in items:
        parts = [item.get(field) for field in ("name", "type", "column", "metric", "function")]
        name = "_".join(part for part in parts if part)
        same = sum(1 for other in named if other == name or other.startswith(f"{name}#"))
        named[f"{name}#{same + 1}" if same else name] = item
    return named


def _differences(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, _Named) and isinstance(after, _Named) and before.order(after) != after.order(before):
        yield path, list(before), list(after)
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*after, *before]):
            sides = before.get(name, _ABSENT), after.get(name, _ABSENT)
            yield from _differences(*sides, f"{path}.{name}" if path else name)
    elif before is _ABSENT or after is _ABSENT:
        yield path, None if before is _ABSENT else before, None if after is _ABSENT else after
    elif canonical_json(before) != canonical_json(after):
        yield path, before, after
