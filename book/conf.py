"""Settings of the book. What they switch on is written in _ext/."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "Recent LLM Advances"
author = "The Recent LLM Advances authors"
copyright = "the Recent LLM Advances authors. Text and figures: CC BY 4.0. Code: MIT"
version = release = "0.1.0"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_exercise",
    # ours, one job each
    "honest_build",
    "execution",
    "numbering",
    "citations",
    "inline_figures",
    "lesson",
    "build_time_math",
    "printed",
]
exclude_patterns = ["_ext", "_static", "_templates", "_latex", "_kernel"]
nitpicky = True
numfig = True
math_numfig = True
numfig_secnum_depth = 1
numfig_format = {
    "figure": "Figure %s",
    "table": "Table %s",
    "code-block": "Listing %s",
    "section": "Section %s",
}
math_eqref_format = "Equation {number}"

# Pages and their cells
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
nb_render_markdown_format = "myst"
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "_build" / "execution-cache")
nb_execution_in_temp = True
nb_execution_timeout = 60
nb_execution_show_tb = True
nb_execution_raise_on_error = False
nb_output_stderr = "remove-warn"

# References
bibtex_bibfiles = ["../references.bib"]

# HTML
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
templates_path = ["_templates"]
html_theme_options = {
    "navbar_persistent": [],
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
}

# PDF
latex_engine = "lualatex"
latex_toplevel_sectioning = "part"
latex_use_xindy = False
latex_documents = [
    ("index", "recent-llm-advances.tex", project, author, "manual"),
]
