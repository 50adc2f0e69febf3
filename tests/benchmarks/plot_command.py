"""The command line of the scripts that draw a saved record. It draws nothing itself."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def draw_record(description: str, script: str, drawn: Callable[[Mapping[str, Any]], str]) -> None:
    """
    Draw the record that the command line names, and write the picture where it says.

    Args:
        description: What the picture shows.
        script: The script whose `--save` wrote the record.
        drawn: Returns the picture of a record, as SVG.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("record", type=Path, help=f"what {script} --save wrote")
    parser.add_argument("picture", type=Path, help="where the SVG goes")
    options = parser.parse_args()
    options.picture.write_text(drawn(json.loads(options.record.read_text())))
