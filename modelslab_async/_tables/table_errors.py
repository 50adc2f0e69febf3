"""Errors about the input table. They say what to do, and never show a whole row."""


class UnusableTable(ValueError):
    """The table cannot be read, or has no column that is known to hold tickets."""


class MissingPyarrow(ModuleNotFoundError):
    """Reading the table needs the package pyarrow, which is not installed."""


def missing_pyarrow(need: str) -> MissingPyarrow:
    """Return an error that says what needs pyarrow, and how to install pyarrow."""
    return MissingPyarrow(
        f'{need} needs pyarrow; install it with: pip install "modelslab-async[parquet]", or '
        "pip install pyarrow if you run from a clone",
        name="pyarrow",
    )
