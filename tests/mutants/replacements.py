"""What each kind of node of a syntax tree is replaced by. It reads no file."""

import ast
from collections.abc import Callable, Iterator

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
# `|` is left out: it joins types more often than values.
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
# A condition of another kind has replacements of its own.
_PLAIN_CONDITIONS = (ast.Name, ast.Attribute, ast.Call, ast.NamedExpr, ast.Await, ast.Subscript)


def _compare(node: ast.Compare) -> Iterator[ast.AST]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            operators = [*node.ops[:index], other(), *node.ops[index + 1 :]]
            yield ast.Compare(node.left, operators, node.comparators)


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)


def _binary(node: ast.BinOp) -> Iterator[ast.AST]:
    is_text = isinstance(node.left, (ast.Constant, ast.JoinedStr)) and not isinstance(
        getattr(node.left, "value", ""), (int, float)
    )
    if type(node.op) in _OPERATORS and not is_text:
        yield ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)


def _augmented(node: ast.AugAssign) -> Iterator[ast.AST]:
    if type(node.op) in _OPERATORS:
        yield ast.AugAssign(node.target, _OPERATORS[type(node.op)](), node.value)


def _unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    if isinstance(node.op, (ast.Not, ast.USub)):
        yield node.operand


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
    elif isinstance(value, float):
        yield ast.Constant(value * 2 or 1.0)
    elif isinstance(value, str) and value.replace("_", "").replace("-", "").isalnum():
        # A word may be a key, a status or a unit. Longer texts are messages.
        yield ast.Constant(f"{value}_mutant")


def _call(node: ast.Call) -> Iterator[ast.AST]:
    if isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
        yield ast.Call(ast.Name(_FUNCTIONS[node.func.id]), node.args, node.keywords)


def _statement(node: ast.Expr) -> Iterator[ast.AST]:
    call = node.value.value if isinstance(node.value, ast.Await) else node.value
    if isinstance(call, ast.Call) and ast.unparse(call.func) != "assert_never":
        yield ast.Pass()


def _return(node: ast.Return) -> Iterator[ast.AST]:
    if node.value is not None and not isinstance(node.value, ast.Constant):
        yield ast.Return(ast.Constant(None))


def _leave_out(_: ast.Raise | ast.Delete) -> Iterator[ast.AST]:
    yield ast.Pass()


_KINDS: dict[type[ast.AST], Callable[..., Iterator[ast.AST]]] = {
    ast.Compare: _compare,
    ast.BoolOp: _boolean,
    ast.BinOp: _binary,
    ast.AugAssign: _augmented,
    ast.UnaryOp: _unary,
    ast.Constant: _constant,
    ast.Call: _call,
    ast.Expr: _statement,
    ast.Return: _return,
    ast.Raise: _leave_out,
    ast.Delete: _leave_out,
}


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may replace this node."""
    yield from _KINDS.get(type(node), lambda _: iter(()))(node)


def negations(node: ast.AST) -> Iterator[tuple[ast.expr, ast.AST]]:
    """Yield the plain conditions of this statement or expression, each with its negation."""
    conditions = [node.test] if isinstance(node, (ast.If, ast.IfExp, ast.While)) else []
    conditions += node.ifs if isinstance(node, ast.comprehension) else []
    for condition in conditions:
        if isinstance(condition, _PLAIN_CONDITIONS):
            yield condition, ast.UnaryOp(ast.Not(), condition)
