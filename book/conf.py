"""Settings of the book. What they switch on is written in _ext/."""

import sys
from importlib.metadata import version as distribution_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "Recent LLM Advances"
author = "The Recent LLM Advances authors"
copyright = f"{author}; text and figures CC BY 4.0, code MIT"
version = release = distribution_version("recent-llm-advances")
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.bibtex",
    "sphinx_copybutton",
    "sphinx_exercise",
    "sphinx_togglebutton",  # `:class: dropdown` folds
    "sphinx_book_theme",  # its `margin` is for the PDF too
    # ours, one job each
    "honest_build",
    "execution_key",
    "execution",
    "numbering",
    "citations",
    "inline_figures",
    "sliders",
    "hover_cards",
    "lesson",
    "typed_numbers",
    "build_time_math",
    "math_lint",
    "printed",
    "paper_order",
    "used_in",
    "recaps",
    "parity_table",
    "terms",
    "term_data",
]
exclude_patterns = ["_ext", "_static", "_templates", "_latex", "_kernel"]
nitpicky = True
# the types of other packages are documented elsewhere
nitpick_ignore_regex = [(r"py:.*", r"(?!snippets\.).*")]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
python_use_unqualified_type_names = True
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
math_macros = {
    r"\R": r"\mathbb{R}",
    r"\E": r"\mathbb{E}",
    r"\T": r"\top",
    r"\ind": r"\mathbf{1}",
    r"\loss": r"\mathcal{L}",
    r"\KL": r"D_{\mathrm{KL}}\left(#1 \,\middle\|\, #2\right)",
    r"\norm": r"\left\lVert #1 \right\rVert",
    r"\softmax": r"\operatorname{softmax}",
    r"\argmax": r"\operatorname*{arg\,max}",
    r"\argmin": r"\operatorname*{arg\,min}",
}

# Pages and their cells
myst_enable_extensions = [
    "amsmath",
    "colon_fence",
    "deflist",
    "dollarmath",
    "fieldlist",
]
nb_render_markdown_format = "myst"
earlier_series_url = ""  # where Series 1 to 6 are hosted: recaps link there
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE.parent / "_build" / "execution-cache")
nb_execution_in_temp = True
nb_execution_timeout = 30  # seconds a cell; aim at 2
nb_execution_show_tb = False  # _ext/execution.py shows it
nb_execution_raise_on_error = False
nb_output_stderr = "remove"  # and an error: see _ext/execution.py
nb_merge_streams = True  # else its timing decides how a cell's print looks

# References
bibtex_bibfiles = ["../references.bib"]
bibtex_default_style = bibtex_reference_style = "book"  # citations.py
bibtex_cite_id = "{key}"
bibtex_tooltips = False
copybutton_selector = "div.highlight pre, code.key"

# HTML
html_theme = "sphinx_book_theme"
html_title = project
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["book.css"]
templates_path = ["_templates"]
html_theme_options = {
    "navbar_persistent": [],
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
}

# PDF: how it looks is in _latex/book.sty
latex_engine = "lualatex"
latex_toplevel_sectioning = "part"
today_fmt = "%B %-d, %Y"
latex_use_xindy = False
latex_domain_indices = False
latex_table_style = ["booktabs"]
latex_additional_files = [
    "_latex/book.sty",
    "_latex/fonts.sty",
    "_latex/latexmkrc",
]
latex_elements = {
    "papersize": "b5paper",
    "pointsize": "11pt",
    "extraclassoptions": "oneside,openany",
    "figure_align": "H",
    "releasename": "Version",
    "fncychap": "",
    "fontpkg": r"\usepackage{fonts}",
    "preamble": r"\usepackage{book}",
    "sphinxsetup": "hmargin=18mm,vmargin={22mm,20mm},iconpackage=none",
}
# True: without index.md, the site's front page
latex_documents = [
    ("index", "recent-llm-advances.tex", project, author, "manual", True),
]
