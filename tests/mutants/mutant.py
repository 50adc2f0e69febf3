"""One small change of one module. It changes no file."""

import attrs


@attrs.frozen
class Mutant:
    """
    A module with one expression or statement replaced.

    Attributes:
        module: The path of the module inside the package.
        scope: The class and function around the change, or "module".
        before: The source that is replaced, as `ast.unparse` writes it.
        after: What replaces it.
        occurrence: Which of equal changes in one scope this is, from 1.
        lines: The first line of the statement, and the last line of what is replaced.
        source: The source of the whole changed module.
    """

    module: str
    scope: str
    before: str
    after: str
    occurrence: int
    lines: tuple[int, int]
    source: str = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """What identifies the mutant while lines move."""
        number = f" (#{self.occurrence})" if self.occurrence > 1 else ""
        return f"{self.module} {self.scope}: {self.before} => {self.after}{number}"

    @property
    def layer(self) -> str:
        """The folder of the package that holds the module."""
        return self.module.partition("/")[0]
