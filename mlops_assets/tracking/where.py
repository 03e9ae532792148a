"""The language of ``where``: conditions over the columns of runs, such as ``metrics.rmse < 12 and params.depth >= 4``.

    condition   comparison | condition and condition | condition or condition | not condition | (condition)
    comparison  column < value    and <= > >= = (or ==) != (or <>); a column may stand on both sides
                column in (value, value ...)         column like 'A_%'        column is null
                column not in (...)                  column glob 'A*'         column is not null
                column                               for columns of true or false
    value       12  -0.5  1e-3  'text'  "text"  true  false; a quote inside text is written twice
    column      metrics.rmse; in backquotes where a name holds other signs than letters, digits, _ . and -

As in SQL, a comparison with a column that a run does not have is neither true nor false, so neither it nor its ``not``
shows the run; ``is null`` does. The text becomes values of this module and nothing else: it never reaches a database.
"""

import re
from dataclasses import dataclass
from typing import NoReturn

from partitions.errors import MlopsError

Literal = bool | int | float | str
DEEPEST = 50
LONGEST = 10_000


class WhereError(MlopsError):
    """A condition that cannot be read, or that compares what cannot be compared."""


@dataclass(frozen=True)
class Name:
    """A column, as written."""

    name: str


@dataclass(frozen=True)
class Compare:
    """``left operator right``; at least one of them is a column."""

    left: "Name | Literal"
    operator: str
    right: "Name | Literal"


@dataclass(frozen=True)
class OneOf:
    column: Name
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Matches:
    """``how``: like or glob."""

    column: Name
    how: str
    pattern: str


@dataclass(frozen=True)
class IsNull:
    column: Name


@dataclass(frozen=True)
class IsTrue:
    column: Name


@dataclass(frozen=True)
class Not:
    part: "Condition"


@dataclass(frozen=True)
class All:
    parts: "tuple[Condition, ...]"


@dataclass(frozen=True)
class Either:
    parts: "tuple[Condition, ...]"


Condition = Compare | OneOf | Matches | IsNull | IsTrue | Not | All | Either


def names_in(condition: Condition) -> tuple[str, ...]:
    """The columns that a condition speaks of, in the order of its text."""
    match condition:
        case All(parts) | Either(parts):
            return tuple(dict.fromkeys(name for part in parts for name in names_in(part)))
        case Not(part):
            return names_in(part)
        case Compare(Name(name), _, Name(other)):
            return tuple(dict.fromkeys((name, other)))
        case Compare(Name(name)) | OneOf(Name(name)) | Matches(Name(name)) | IsNull(Name(name)) | IsTrue(Name(name)):
            return (name,)
    raise TypeError(f"{condition} is no condition")


COMPARISONS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
TURNED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_WORDS = {"and", "or", "not", "in", "like", "glob", "is", "null", "true", "false"}
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
    | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<quoted>`[^`]+`)
    | (?P<name>[^\W\d][\w.\-]*)
    | (?P<sign><=|>=|==|!=|<>|<|>|=|\(|\)|,)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int

    def is_word(self, word: str) -> bool:
        return self.kind == "name" and self.text.lower() == word


def parse(text: str) -> Condition:
    """The condition that ``text`` says. Raises WhereError, with the place where it stops making sense."""
    if len(text) > LONGEST:
        raise WhereError(f"where has {len(text)} characters; at most {LONGEST} are read")
    parser = _Parser(text)
    condition = parser.either()
    if parser.token.kind != "end":
        parser.stop("expected `and`, `or` or the end")
    return condition


class _Parser:
    """Reads one condition from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def stop(self, why: str) -> NoReturn:
        found = "it ends" if self.token.kind == "end" else f"there is {self.token.text!r}"
        raise WhereError(f"where {self.text!r}: {why}, but {found} (character {self.token.position + 1})")

    def next(self) -> _Token:
        token = self.token
        self.at += 1
        return token

    def word(self, word: str) -> bool:
        if not self.token.is_word(word):
            return False
        self.at += 1
        return True

    def sign(self, sign: str) -> bool:
        if self.token.kind != "sign" or self.token.text != sign:
            return False
        self.at += 1
        return True

    def either(self) -> Condition:
        parts = [self.all()]
        while self.word("or"):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def all(self) -> Condition:
        parts = [self.one()]
        while self.word("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def one(self) -> Condition:
        self.depth += 1
        if self.depth > DEEPEST:
            self.stop(f"conditions are nested more than {DEEPEST} deep")
        if self.word("not"):
            found: Condition = Not(self.one())
        elif self.sign("("):
            found = self.either()
            if not self.sign(")"):
                self.stop("expected `)`")
        else:
            found = self.comparison()
        self.depth -= 1
        return found

    def comparison(self) -> Condition:
        left = self.operand()
        if self.token.kind == "sign" and self.token.text in COMPARISONS:
            operator = COMPARISONS[self.next().text]
            right = self.operand()
            if not isinstance(left, Name):
                left, operator, right = right, TURNED[operator], left
            if not isinstance(left, Name):
                self.stop("a comparison needs a column on one side")
            return Compare(left, operator, right)
        if not isinstance(left, Name):
            self.stop("expected a comparison such as < or =")
        if self.word("is"):
            negated = self.word("not")
            if not self.word("null"):
                self.stop("expected `null`")
            return Not(IsNull(left)) if negated else IsNull(left)
        if self.word("not"):
            return Not(self.membership(left))
        if any(self.token.is_word(word) for word in ("in", "like", "glob")):
            return self.membership(left)
        return IsTrue(left)

    def membership(self, column: Name) -> Condition:
        for how in ("like", "glob"):
            if self.word(how):
                pattern = self.operand()
                if not isinstance(pattern, str):
                    self.at -= 1
                    self.stop(f"expected a pattern in quotes after `{how}`")
                return Matches(column, how, pattern)
        if not self.word("in"):
            self.stop("expected `in`, `like` or `glob`")
        if not self.sign("("):
            self.stop("expected `(` and values")
        values: list[Literal] = []
        while not values or self.sign(","):
            value = self.operand()
            if isinstance(value, Name):
                self.at -= 1
                self.stop("expected a value")
            values.append(value)
        if not self.sign(")"):
            self.stop("expected `,` or `)`")
        return OneOf(column, tuple(values))

    def operand(self) -> "Name | Literal":
        token = self.token
        word = token.text.lower() if token.kind == "name" else ""
        if token.kind in ("end", "sign") or (word in _WORDS and word not in ("true", "false")):
            hint = "; write `is null`" if word == "null" else ""
            self.stop(f"expected a column or a value{hint}")
        self.at += 1
        if token.kind == "number":
            return _number(token.text)
        if token.kind == "text":
            quote = token.text[0]
            return token.text[1:-1].replace(quote * 2, quote)
        if token.kind == "quoted":
            return Name(token.text[1:-1])
        return word == "true" if word in ("true", "false") else Name(token.text)


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[-+]?\d{1,30}", text) else float(text)


def _tokens(text: str) -> list[_Token]:
    tokens = []
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            raise WhereError(f"where {text!r}: {_cannot_read(text[start:])} (character {start + 1})")
        kind = found.lastgroup or ""
        tokens.append(_Token(kind, found[kind], found.start(kind)))
        position = found.end()
    return [*tokens, _Token("end", "", end)]


def _cannot_read(rest: str) -> str:
    if rest.startswith(("&", "|")):
        return "write `and` and `or` as words"
    if rest[0] in "'\"`":
        return f"the {rest[0]} is never closed"
    if rest.startswith(("!", "~")):
        return "write `not` as a word"
    return f"{rest[:1]!r} has no meaning here: there are comparisons, and, or, not, in, like, glob, is null"
