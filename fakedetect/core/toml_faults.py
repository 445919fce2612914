"""A TOML text line by line: where each key stands, and what is wrong with a line that is not TOML."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
DOTTED_KEY = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER = rf"[ \t]*\[\[?[ \t]*({DOTTED_KEY})[ \t]*\]"
_ASSIGNMENT = rf"[ \t]*({DOTTED_KEY})[ \t]*=[ \t]*(.*)"

Place = tuple[str, ...]
"""The names that lead to a section or a key: ('models', 'mine', 'timm')."""

LONGEST = 70
"""Characters of a value that a message repeats."""

_END = r"\s*(?:#.*)?$"
_TYPOGRAPHIC = "“”„‟«»‘’‚‛`´"
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f]"
_INVISIBLE = r"[\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]"


@dataclass(frozen=True)
class Statement:
    """A line that opens a section (`value` is None) or sets a key to the text `value`."""

    line: int
    place: Place
    section: Place
    value: str | None = None


def find_statements(text: str) -> Iterator[Statement]:
    """The statements of a TOML text, one line each; a value that goes on below is cut at its line."""
    section: Place = ()
    ends = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if ends:
            ends = "" if ends in line else ends
            continue
        if found := re.match(_HEADER, line):
            section = _names(found[1])
            yield Statement(number, section, section)
        elif found := re.match(_ASSIGNMENT, line):
            yield Statement(line=number, place=section + _names(found[1]), section=section, value=found[2])
            quotes = found[2][:3]
            if quotes in ('"""', "'''") and quotes not in found[2][3:]:
                ends = quotes


def _names(dotted: str) -> Place:
    return tuple(name.strip("\"'") for name in re.findall(_KEY, dotted))


def name_place(place: Place, section: bool = False) -> str:
    """'seed in [training]', 'model', '[models.mine]'."""
    names = [name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"' for name in place]
    if section or not place:
        return f"[{'.'.join(names)}]"
    above = f" in [{'.'.join(names[:-1])}]" if names[1:] else ""
    return f"{place[-1]}{above}"


def quote(text: str) -> str:
    """The text as TOML writes it, in single quotes where it holds a back-slash."""
    if "\\" not in text:
        return '"' + text.replace('"', "'") + '"'
    return f"'{text}'" if "'" not in text else '"' + text.replace("\\", "/") + '"'


def _to_boolean(found: re.Match[str]) -> str:
    return "true" if found[1].lower() in ("true", "yes", "on") else "false"


def _to_number(found: re.Match[str]) -> str:
    return f"{float(found[1].replace(',', '.')):.12g}"


_WRONG_VALUES: tuple[tuple[str, str, Callable[[re.Match[str]], str]], ...] = (
    (rf"((?i:true|false|yes|no|on|off)){_END}", "write true or false in lower case", _to_boolean),
    (
        rf"[{_TYPOGRAPHIC}](.*?)[{_TYPOGRAPHIC}\"']{_END}",
        "quotes must be straight",
        lambda found: quote(found[1]),
    ),
    (
        rf'"([^"]*\\[^"]*)(?:"[^"]*)?{_END}',
        "a backslash in double quotes starts an escape; use single quotes, or / in place of \\",
        lambda found: quote(found[1]),
    ),
    (rf"'([^'#]*'[^'#]*)'{_END}", "the text ends at its first '", lambda found: quote(found[1])),
    (r"(\"{3}|'{3})(.*)", "the three closing quotes are missing", lambda found: quote(found[2].strip())),
    (
        r"\"([^\"]*?)\s*(?:#.*)?$|'([^']*?)\s*(?:#.*)?$",
        "the closing quote is missing",
        lambda found: quote(found[1] or found[2] or ""),
    ),
    (
        r"([\[{](?:[^\"'#]|\"[^\"]*\"|'[^']*')*)[\"']([^\"'#\]}]*)([\]}]?)\s*(?:#.*)?$",
        "a closing quote is missing",
        lambda found: f"{found[1]}{quote(found[2].strip())}{found[3] or ']}'[found[1][0] == '{']}",
    ),
    (
        r"[\"']([^\"']*)[\"']\s*\S",
        "only a # comment can follow the text",
        lambda found: quote(found[1]),
    ),
    (rf"\(([^()]*)\){_END}", "a list needs square brackets", lambda found: f"[{found[1]}]"),
    (
        rf"\[([^\],#]*[^\],#\s]\s+[^\],#]+)\]{_END}",
        "list values need commas between them",
        lambda found: f"[{', '.join(found[1].split())}]",
    ),
    (r"(\[[^\]#]*?\S)[,\s]*(?:#.*)?$", "the list has no closing ]", lambda found: f"{found[1]}]"),
    (r"\{[^}]*$", "a {…} must end on its line; write a [section] instead", lambda _: ""),
    (rf"([+-]?\d+,\d+(?:e[+-]?\d+)?){_END}", "numbers use a decimal point, not a comma", _to_number),
    (
        rf"(\d+(?:[.,]\d+)?)\s*%{_END}",
        "a share is a number between 0 and 1",
        lambda found: f"{float(found[1].replace(',', '.')) / 100:.12g}",
    ),
    (
        rf"([+-]?(?:\.\d+|\d+\.|0\d+(?:\.\d+)?)(?:[eE][+-]?\d+)?){_END}",
        "a number needs a digit on both sides of its point and must not start with 0",
        _to_number,
    ),
    (
        r"([+-]?\d[\d_.e+-]*)\s*[^\s\d]",
        "only a # comment can follow the number",
        lambda found: found[1],
    ),
    (
        rf"(?!(?:null|None|nil){_END})([^\W\d][^\"'#=\[\]{{}}]*|[~./$\\][^\"'#]*?)\s*(?:#.*)?$",
        "text needs quotes",
        lambda found: quote(found[1].strip()),
    ),
)
"""How a value that TOML has not begins, what is wrong with it, and how to write it."""

_WRONG_TEXTS = {
    "maximum recursion": "brackets nested too deeply. Write one list, as in [0.5, 0.5, 0.5]",
    "Exceeds the limit": "a number with thousands of digits. Write a smaller one.",
}
"""What is wrong by the first words of Python's message, where the line does not show it."""


def explain_syntax(text: str, statements: Sequence[Statement], error: Exception) -> tuple[int, str]:
    """The line of a mistake and what it is, in one sentence or two.

    Args:
        statements: those of the text.
        error: what Python's reader raised.
    """
    message = str(error)
    if message.startswith("Cannot ") and (twice := _find_twice(statements)):
        return twice
    line = _find_line(text, statements, error)
    for start, what in _WRONG_TEXTS.items():
        if message.startswith(start):
            return line, what
    said = text.split("\n")[line - 1]
    section = next((found.section for found in reversed(statements) if found.line < line), ())
    return line, _explain_line(said, section)


def _find_twice(statements: Sequence[Statement]) -> tuple[int, str] | None:
    """The second of two statements that set one key or open one section."""
    lines: dict[tuple[str, ...], int] = {}
    for found in statements:
        name = name_place(found.place, section=found.value is None)
        if found.place in lines:
            what = "is opened" if found.value is None else "is set"
            advice = "Put its keys under one" if found.value is None else "Keep one of them"
            return found.line, f"{name} {what} twice, first on line {lines[found.place]}. {advice}."
        # A dotted key opens the tables that it leads through.
        for length in range(len(found.section) + 1, len(found.place) + 1):
            lines.setdefault(found.place[:length], found.line)
        lines.setdefault(found.place, found.line)
    return None


def _find_line(text: str, statements: Sequence[Statement], error: Exception) -> int:
    """The line where the mistake begins; the reader may notice it further down."""
    message = str(error)
    place = re.search(r"at line (\d+)", message)
    line = int(place[1]) if place else len(text.rstrip().split("\n"))
    begins = r"\[[^\]]*$|\{[^}]*$|\"\"\"|'''"
    if isinstance(error, RecursionError):
        begins = r"[\[{]"
    elif message.startswith("Exceeds the limit"):
        begins = r"[+-]?\d{4000}"
    elif message.startswith('Expected "\'"'):
        begins = r"'[^']*$"
    elif place and not message.startswith(("Unclosed", "Unterminated")):
        return line
    lines = [
        found.line for found in statements if found.line <= line and re.match(begins, found.value or "")
    ]
    return lines[-1] if lines else line


def _explain_line(line: str, section: tuple[str, ...]) -> str:
    """What is wrong with a line, and how to write it."""
    if re.search(_CONTROL, line):
        return "an invisible control character. Retype the line."
    if odd := re.search(_INVISIBLE, re.sub(r"\"[^\"]*\"|'[^']*'|#.*", "", line)):
        code = f"U+{ord(odd[0]):04X}"
        return (
            f"an invisible character ({code}), often pasted from a web page. Delete it or retype the line."
        )
    line = line.strip()
    if line.startswith("["):
        return _explain_header(line)
    if line.startswith(("//", ";", "/*", "--", "%")):
        return f"a comment starts with #. Write # {_shorten(line.lstrip('/;*-% '))}"
    found = re.match(r"([^=:\"']*?|\"[^\"]*\"|'[^']*')\s*(:=|=>|==+|=|:)\s*(.*)$", line)
    if not found:
        words = re.match(rf"({DOTTED_KEY})\s+(.+)$", line)
        if not words:
            return "not a key = value, a [section] or a # comment. Fix or remove the line."
        return f"there is no = after {words[1]}. Write {words[1]} = {repair_value(words[2])[1]}"
    key, sign, value = found.groups()
    bare = re.sub(r"\W+", "_", key.strip("\"' ")).strip("_")
    if not re.fullmatch(DOTTED_KEY, key):
        better = f"{bare or 'key'} = {repair_value(value)[1]}"
        return f"a key is one word of letters, digits, _ and -. Write {better}"
    where = name_place((*section, key))
    if sign != "=":
        return f"{where}: use =, not {sign}. Write {key} = {repair_value(value)[1]}"
    why, better = repair_value(value)
    if not why:
        return f"{where}: not a value. Write text in quotes, a number, true or false, or a list in [ ]"
    return f"{where}: {why}." + (f" Write {key} = {better}" if better else "")


def repair_value(value: str) -> tuple[str, str]:
    """What is wrong with a value, and how to write it; '' for what is not known."""
    value = value.strip()[:1000]
    if re.match(r"(#|$)", value) or re.match(rf"(null|None|nil){_END}", value):
        return "the value is missing; write one or remove the line", ""
    for pattern, why, write in _WRONG_VALUES:
        if found := re.match(pattern, value):
            return why, _shorten(write(found))
    return "", _shorten(value)


def _explain_header(line: str) -> str:
    name = re.match(r"\[+\s*([^\]#]*)", line)
    words = re.findall(r"[\w.\"'-]+", name[1]) if name else []
    after = re.match(rf"\[[ \t]*({DOTTED_KEY})[ \t]*\][ \t]*([^\s#\]].*)$", line)
    if after:
        return f"[{after[1]}] must stand alone on its line. Write {_shorten(after[2])} below it."
    header = "_".join(words).strip(".") or "training"
    for mark in "\"'":
        header = header.replace(mark, "") if header.count(mark) % 2 else header
    return f"a section is a name in square brackets, without spaces. Write [{header}]"


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
