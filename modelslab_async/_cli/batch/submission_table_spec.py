"""SubmissionTableSpec: what the options of `batch submit` say about a table."""

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class SubmissionTableSpec:
    """
    What the options of the command say about a file of submissions.

    Attributes:
        endpoint: The endpoint of rows that name no endpoint. None if the user did not give
            `--endpoint`.
        defaults: Default values of parameters as text, keyed by parameter name. A row without a
            cell for a parameter gets the default.
        key_column: The column that holds the submission key of each row. None means the column
            `key`, if the file has one.
        sent_columns: Columns to send, even if the registry does not list them as parameters.
        input_format: `text`, `csv` or `json`. None means that the file's name or content decides.
    """

    endpoint: str | None = None
    defaults: Mapping[str, tuple[str, ...]] = field(factory=dict[str, tuple[str, ...]])
    key_column: str | None = None
    sent_columns: tuple[str, ...] = ()
    input_format: str | None = None


def parameter_name(name: str) -> str:
    """Turn a column's name into a parameter's name: underscores replace dashes and blanks."""
    return name.strip().replace("-", "_").replace(" ", "_")
