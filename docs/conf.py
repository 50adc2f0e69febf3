"""How the documentation is built: `nox -s docs`."""

import sys
from pathlib import Path

import modelslab_async

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "modelslab_async"
author = "The modelslab_async authors"
project_copyright = "2026, The modelslab_async authors"
release = version = modelslab_async.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "from_code",
]
exclude_patterns = ["_build", "_ext"]
# Docstrings write code in single backticks, as Markdown does.
default_role = "code"
# The copy button leaves out the prompts of a console, and what a command prints.
copybutton_prompt_text = "$ "
html_theme = "furo"
html_title = f"modelslab_async {release}"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
