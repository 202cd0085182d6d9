#!/usr/bin/env python3
"""Check the prose of code and documentation against the rules of CONTRIBUTING.md, "Words".

A description of a parameter, an attribute, a setting, an option or a tooltip is a whole noun phrase with unit, range and default, so it
does not begin with one of `FRAGMENT_STARTS`. Some words are not used at all, in prose or in names: `WORDS` and `NAMES` list them with
what to write instead.

    tools/prose.py [PATH ...]

prints ``file:line: message`` for each finding and exits with 1 if there is one. Without paths it checks `DEFAULT_PATHS`. A line that
must use a word, such as the title of a cited article, ends with the comment ``prose: allow``.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

DEFAULT_PATHS = ("src", "tests", "benchmarks", "examples", "docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")

ALLOW = "prose: allow"

FRAGMENT_STARTS = (
    # Prepositions: a description that begins with one needs the parameter's name as its subject ("Of the run.").
    *(
        "about",
        "above",
        "after",
        "along",
        "among",
        "around",
        "as",
        "at",
        "before",
        "below",
        "between",
        "beyond",
        "by",
        "during",
    ),
    *(
        "for",
        "from",
        "in",
        "into",
        "like",
        "of",
        "off",
        "on",
        "onto",
        "over",
        "per",
        "than",
        "through",
        "to",
        "toward",
        "under",
    ),
    *("until", "up", "upon", "with", "within", "without"),
    # Conjunctions and relative pronouns: half a sentence ("That are compared."). A condition is "True if …".
    *(
        "and",
        "because",
        "but",
        "if",
        "or",
        "since",
        "so",
        "that",
        "when",
        "where",
        "wherever",
        "whether",
        "while",
        "who",
        "whose",
    ),
    # References to another description ("Likewise.").
    *("also", "ditto", "likewise", "not"),
)
"""First words that make a description a fragment."""

WHOLE_STARTS = ("as for `", "as in `", "up to date")
"""Beginnings that are allowed although their first word is a fragment's: a pointer to the description that holds."""

SECTIONS = ("Parameters", "Other Parameters", "Attributes", "Returns", "Raises", "Yields")
"""Sections of a numpydoc docstring whose descriptions are checked."""

WORDS = {
    r"fore(?:see|saw|tell|told)\w*": "predict",
    r"noise[^.\n]{0,60}\balike|alike[^.\n]{0,60}\bnoise|neighbors? (?:is|are) alike|alike within": (
        "correlated noise, noise correlation length"
    ),
    r"(?<![a-z])worth(?![a-z])|pixelworth": "error weights, or say what is gained",
    r"\bjudged by": "evaluated by",
    r"\b(?:draws?|drawn|drew|drawing)(?: [^\W\d]+){0,2} (?:soon|sooner|late|later)\b": "which structures a generator fits first",
    r"\bso many\b": "name the number",
    r"\bcomes to\b": "is, or amounts to",
    r"\bof the present\b": "current",
    r"[\d}]%(?!\w)|%}": "a space before the percent sign, as before other units",
}
"""Words and phrases that are not used in text (patterns, in lower case), each with what to write instead."""

NAMES = {
    r"^(?:n_|is_|_)?alike$": "correlation_length",
    r"^_?wish(?:es)?(?:_|$)|_wish(?:es)?$": "settings",
    r"^_?may_go$": "is_allowed",
    r"^_+(?:tell|hear)(?:_|$)": "_emit, _on_…",
}
"""Names that are not used in code (patterns for names as ``snake_case``), each with what to write instead."""

SETTINGS_NAME = r"(?:^|[A-Za-z]_?)W(?:ords|ORDS)$|^words$"
"""A class, field, parameter or constant of this name holds settings or labels, and is named so; a local variable may hold words."""

METHOD_NAMES = {"meet": "prepare", "follow": "update"}
"""Names that no function has, each with what to write instead."""

Finding = tuple[int, str]
"""A line, counted from 1, and what is wrong in it."""


def check_text(text: str) -> Iterator[Finding]:
    """Find words and phrases that are not used, also where a line break divides them."""
    lowered = text.lower()
    for pattern, instead in WORDS.items():
        for match in re.finditer(pattern.replace(" ", r"(?:\s|[#\"'])+"), lowered):
            found = " ".join(match.group().split())
            yield lowered.count("\n", 0, match.start()) + 1, f'"{found}" is not used: {instead}'


def check_python(source: str) -> Iterator[Finding]:
    """Find fragments, and words that are not used, in a module's docstrings, help texts, tooltips, comments and names."""
    tree = ast.parse(source)
    yield from check_text(source)
    yield from _check_names(source)
    constants = _string_constants(tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name in METHOD_NAMES:
                yield node.lineno, f'"{node.name}" is not a name of a function: {METHOD_NAMES[node.name]}'
            docstring = node.body[0] if node.body else None
            if isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant):
                yield from _check_docstring(docstring.value)
            yield from _check_attribute_docstrings(node)
        for name in _declared(node):
            if re.search(SETTINGS_NAME, name):
                yield node.lineno, f'"{name}" is not used: settings, or labels'
        if isinstance(node, ast.Call):
            for text in _descriptions(node):
                yield from _check_description(text, constants)
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "tooltip":
                    yield from _check_description(value, constants)


def fragment(description: str) -> str | None:
    """Return the word that makes a description a fragment, if it does."""
    text = description.strip().lower()
    first = re.match(r"[a-z]+", text)
    if first is None or first.group() not in FRAGMENT_STARTS or text.startswith(WHOLE_STARTS):
        return None
    return description.strip()[: first.end()]


def _check_docstring(node: ast.Constant) -> Iterator[Finding]:
    """Find fragments among the descriptions in a numpydoc docstring."""
    if not isinstance(node.value, str):
        return
    lines = node.value.expandtabs().split("\n")
    section, is_expected = None, False
    margin = min((len(x) - len(x.lstrip()) for x in lines[1:] if x.strip()), default=0)
    for i, line in enumerate(lines):
        underline = lines[i + 1].strip() if i + 1 < len(lines) else ""
        if underline and set(underline) == {"-"}:
            section, is_expected = line.strip(), False
        elif section in SECTIONS and line.strip():
            is_indented = i == 0 or len(line) - len(line.lstrip()) > margin
            if is_indented and is_expected and (word := fragment(line)):
                yield node.lineno + i, f'a description begins with "{word}": write a whole noun phrase'
            is_expected = not is_indented


def _declared(node: ast.AST) -> list[str]:
    """Return the name of a class, parameter, field or constant that a node declares or refers to, for `SETTINGS_NAME`."""
    if isinstance(node, ast.ClassDef):
        return [node.name]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [] if node.name.startswith("test_") else [a.arg for a in (*node.args.args, *node.args.kwonlyargs)]
    if isinstance(node, ast.keyword):
        return [node.arg or ""]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.Name) and (node.id.isupper() or node.id.endswith("Words")):
        return [node.id]
    return []


def _check_attribute_docstrings(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[Finding]:
    """Find fragments among the docstrings below assignments."""
    for before, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(before, (ast.Assign, ast.AnnAssign)) and isinstance(after, ast.Expr):
            yield from _check_description(after.value, {})


def _descriptions(call: ast.Call) -> Iterator[ast.expr]:
    """Return the arguments of a call that describe something to the user."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    for keyword in call.keywords:
        if keyword.arg in ("tooltip", "help") or (keyword.arg == "description" and name == "Field"):
            yield keyword.value
    if name in ("setToolTip", "set_tooltip", "setStatusTip") and call.args:
        yield call.args[0]


def _check_description(node: ast.expr, constants: dict[str, str]) -> Iterator[Finding]:
    """Find out whether a string, the beginning of an f-string, or a module's named string is a fragment."""
    if isinstance(node, ast.Name):
        text = constants.get(node.id, "")
    elif isinstance(node, ast.JoinedStr):
        text = _beginning(node)
    else:
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
    if word := fragment(text):
        yield node.lineno, f'a description begins with "{word}": write a whole noun phrase'


def _beginning(node: ast.JoinedStr) -> str:
    first = node.values[0] if node.values else None
    return str(first.value) if isinstance(first, ast.Constant) else ""


def _string_constants(tree: ast.Module) -> dict[str, str]:
    """Return the strings that a module gives names to."""
    constants = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                constants[node.targets[0].id] = node.value.value
            elif isinstance(node.value, ast.JoinedStr):
                constants[node.targets[0].id] = _beginning(node.value)
    return constants


def _check_names(source: str) -> Iterator[Finding]:
    """Find names that are not used."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", token.string).lower()
            for pattern, instead in NAMES.items():
                if re.search(pattern, snake):
                    yield token.start[0], f'"{token.string}" is not used: {instead}'


def check_file(path: Path) -> Iterator[Finding]:
    """Find what is wrong in a Python or Markdown file, line by line, once each."""
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    findings = check_python(text) if path.suffix == ".py" else check_text(text)
    for line, message in sorted(set(findings)):
        if ALLOW not in lines[line - 1]:
            yield line, message


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """Return the Python and Markdown files among paths and in folders; of results that were measured or computed, none."""
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in (".py", ".md"))
            yield from (p for p in inside if not {"results", "reproduction"} & set(p.parts) or p.suffix == ".py")
        else:
            yield path


def main(arguments: list[str]) -> int:
    """Print all findings; return the exit status."""
    n_findings = 0
    for path in files([Path(a) for a in arguments] or [ROOT / p for p in DEFAULT_PATHS]):
        name = path.resolve().relative_to(ROOT) if path.resolve().is_relative_to(ROOT) else path
        for line, message in check_file(path):
            print(f"{name}:{line}: {message}")
            n_findings += 1
    if n_findings:
        print(f"{n_findings} findings.", file=sys.stderr)
    return 1 if n_findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
