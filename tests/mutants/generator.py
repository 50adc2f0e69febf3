"""The mutants of a module: one for each small change of its syntax tree. It runs none of them."""

import ast
import hashlib
import importlib.util
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .mutant import Mutant
from .replacements import negations, replacements

PACKAGE = "modelslab_async"
LAYERS = ("_models", "_parsing", "_scheduling", "_submitting")
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
_SCOPES = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# What runs at no time, or changes nothing that a caller sees. Python 3.11 does not know where the
# expressions of an f-string are.
_SKIPPED = (ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom)
_SKIPPED_FIELDS = ("annotation", "returns", "decorator_list", "type_params", "bases")
_MAX_NAME = 120


def _is_declaration(node: ast.AST) -> bool:
    """Return whether the node tells tools and readers something, such as `__all__` or a type."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name.startswith("__")
        case ast.Subscript(value=ast.Name(id=name)):
            return name in ("Literal", "cast", "TypeVar")
        case ast.If(test=ast.Name(id=name)):
            return name == "TYPE_CHECKING"
    return isinstance(node, _SKIPPED)


def _walk(node: ast.AST, scope: str, first: int = 1) -> Iterator[tuple[ast.AST, str, int]]:
    """
    Yield the nodes that run, in their order.

    With each come the class and function around it, and the first line of its statement: of a
    statement with several lines, coverage knows some only.
    """
    if isinstance(node, _SCOPES):
        scope = f"{scope}.{node.name}" if scope != "module" else node.name
    if isinstance(node, ast.stmt):
        first = node.lineno
    elif isinstance(node, ast.match_case):
        first = node.pattern.lineno
    yield node, scope, first
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED_FIELDS:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_declaration(child):
                yield from _walk(child, scope, first)


def _changes(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST, str, int]]:
    """Yield what is replaced, what by, its scope, and the first line of its statement."""
    for node, scope, first in _walk(tree, "module"):
        for new in replacements(node):
            yield node, new, scope, first
        for condition, new in negations(node):
            yield condition, new, scope, first


def _replaced(lines: list[bytes], old: ast.AST, text: str) -> str:
    """Return the source with one node replaced. The columns of a node count bytes."""
    first, last = old.lineno - 1, old.end_lineno - 1
    before = b"".join(lines[:first]) + lines[first][: old.col_offset]
    after = lines[last][old.end_col_offset :] + b"".join(lines[last + 1 :])
    return (before + text.encode() + after).decode()


def mutants_of(source: str, module: str) -> Iterator[Mutant]:
    """Yield each mutant of a module's source, in the order of the source."""
    lines = source.encode().splitlines(keepends=True)
    seen = Counter[tuple[str, str, str]]()
    for old, new, scope, first in _changes(ast.parse(source)):
        before = ast.unparse(old)[:_MAX_NAME]
        after = ast.unparse(ast.fix_missing_locations(new))
        bare = isinstance(new, (ast.stmt, ast.Constant))
        seen[key := (scope, before, after[:_MAX_NAME])] += 1
        changed = _replaced(lines, old, after if bare else f"({after})")
        yield Mutant(module, *key, seen[key], (first, old.end_lineno), changed)


def mutants_in(package: Path, layers: tuple[str, ...]) -> list[Mutant]:
    """Return the mutants of all modules in these folders of the package."""
    return [
        mutant
        for layer in layers
        for path in sorted((package / layer).rglob("*.py"))
        if path.name != "__init__.py"
        for mutant in mutants_of(path.read_text("utf-8"), path.relative_to(package).as_posix())
    ]


def sample(mutants: list[Mutant], count: int, *, seed: int) -> list[Mutant]:
    """
    Return some of the mutants, by seed.

    Each mutant has a rank of its own, so a change elsewhere in the package leaves the others in the
    sample.
    """
    ranked = sorted(
        mutants, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest()
    )
    return ranked[:count]


def package_folder() -> Path:
    """Return the folder of the package without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def equivalent_mutants() -> dict[str, str]:
    """Return the names of mutants that change nothing for a caller, each with the reason."""
    groups = tomllib.loads(EQUIVALENT.read_text("utf-8"))["equivalent"]
    return {name: group["reason"] for group in groups for name in group["mutants"]}
