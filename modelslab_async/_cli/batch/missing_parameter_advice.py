"""Tells the user how to correct table rows that lack a required parameter."""

from collections.abc import Collection

from ..._tables.ticket_columns import format_names
from .submission_table_rows import PROMPT
from .submission_table_spec import parameter_name


def missing_parameter_advice(missing: Collection[str], columns: Collection[str]) -> str:
    """
    Return the advice for a row that lacks required parameters.

    Args:
        missing: The names of the parameters that the row lacks.
        columns: The names of the row's columns, including columns without a value.
    """
    present = {parameter_name(column) for column in columns}
    options = " ".join(f"-p {name}=VALUE" for name in missing)
    absent = [name for name in missing if name not in present]
    if absent and present <= {PROMPT}:
        # The input may be a plain text file, which has no columns that the user could rename.
        return f"for all rows, give {options}; or add a column"
    # The option for all rows comes last, because a value such as a prompt rarely fits all rows.
    parts = [f"name a column `{name}`" for name in absent]
    if absent:
        parts.append(f"the columns are {format_names(columns)}")
    parts += [f"fill the column `{name}`" for name in missing if name in present]
    return "; ".join((*parts, f"or {options} for all rows that lack it"))
