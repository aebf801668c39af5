"""The strings that stand below the fields of a class, or below the members of an enum, where Python drops them."""

import ast
import inspect
import textwrap
from itertools import pairwise


def below_fields(owner: type) -> dict[str, str]:
    """The string below each field or member of the class, by its name; on one line. A field without one is left out."""
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    found: dict[str, str] = {}
    if isinstance(body, ast.ClassDef):
        for statement, following in pairwise(body.body):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
            text = following.value if isinstance(following, ast.Expr) else None
            if isinstance(target, ast.Name) and isinstance(text, ast.Constant) and isinstance(text.value, str):
                found[target.id] = " ".join(text.value.split())
    return found
