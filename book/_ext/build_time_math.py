r"""Formulas are set when the book is built, not by a script in the page.

KaTeX makes what is seen and Temml the MathML that a screen reader reads; both
run in QuickJS inside this process (see vendor/). Each formula carries its
TeX, so that copying it, or a sentence with it, gives `$O(n^2)$`: only that
takes a script. A formula that can't be set is a warning that says where it
stands.

`math_macros` maps a macro to its meaning, for HTML and for LaTeX alike.
"""

import functools
import html
import json
import os
import re
import textwrap
from pathlib import Path

import quickjs
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator
from sphinx.writers.latex import LaTeXTranslator

HERE = Path(__file__).parent
LIBRARIES = "vendor/katex.min.js", "vendor/temml.min.js"

logger = logging.getLogger(__name__)


@functools.cache
def engine() -> quickjs.Object:
    """Our JavaScript, in an interpreter of this process alone."""
    context = quickjs.Context()
    for library in LIBRARIES:
        context.eval((HERE / library).read_text("utf-8"))
    return context.eval((HERE / "build_time_math.js").read_text("utf-8"))


os.register_at_fork(after_in_child=engine.cache_clear)


def typeset(tex: str, display: bool, macros: dict[str, str]) -> str:
    """HTML of a formula; ValueError says what is wrong with its TeX."""
    result = json.loads(engine()(tex, display, json.dumps(macros)))
    if "error" in result:
        raise ValueError(result["error"])
    formula = '<span class="katex">'
    hidden = f'<span class="katex-mathml">{result["read"]}</span>'
    return cling(result["seen"]).replace(formula, formula + hidden, 1)


def cling(seen: str) -> str:
    """Hold a formula's last unbreakable part to the comma that follows it."""
    start, base, end = seen.rpartition('<span class="katex-base">')
    # All that is open at the end is a span, so one more </span> closes ours.
    return f'{start}<span class="cling">{base}{end}</span>'


def as_latex_sets_it(node: nodes.Element) -> str:
    r"""TeX with the environment that Sphinx gives it: `\\` starts a row."""
    tex = node.astext()
    if isinstance(node, nodes.math) or node.get("nowrap"):
        return tex
    tex = r"\\".join(part for part in tex.split("\n\n") if part.strip())
    return rf"\begin{{split}}{tex}\end{{split}}" if r"\\" in tex else tex


def typeset_node(writer: HTML5Translator, node: nodes.Element) -> str:
    display = isinstance(node, nodes.math_block)
    tex, macros = as_latex_sets_it(node), writer.config.math_macros
    try:
        return typeset(tex, display, macros)
    except ValueError as error:
        shown = textwrap.shorten(node.astext(), 72, placeholder=" ...")
        message = "formula `%s` can't be set: %s"
        logger.warning(message, shown, error, location=node, type="math")
        return html.escape(tex)


def visit_inline(writer: HTML5Translator, node: nodes.math) -> None:
    tag = {"CLASS": "math", "data-tex": f"${node.astext().strip()}$"}
    writer.body.append(writer.starttag(node, "span", "", **tag))
    writer.body.append(typeset_node(writer, node) + "</span>")
    raise nodes.SkipNode


def visit_block(writer: HTML5Translator, node: nodes.math_block) -> None:
    """A formula that scrolls in itself, by keyboard too, and its number."""
    number = node.get("number") and get_node_equation_number(writer, node)
    label = f"Equation {number}" if number else "Formula"
    tex = html.escape(f"$$\n{node.astext().strip()}\n$$")
    writer.body.append(writer.starttag(node, "div", CLASS="math"))
    writer.body.append(
        f'<div class="formula" tabindex="0" role="group" '
        f'aria-label="{label}" data-tex="{tex}">'
        f"{typeset_node(writer, node)}</div>"
    )
    if number:
        writer.body.append(f'<span class="eqno">({number})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append("</div>\n")
    raise nodes.SkipNode


def visit_for_latex(writer: LaTeXTranslator, node: nodes.math) -> None:
    """As Sphinx does; in a heading, give PDF bookmarks the TeX as text."""
    if not writer.in_title:
        return LaTeXTranslator.visit_math(writer, node)
    tex = node.astext()
    bookmark = writer.encode(tex)
    writer.body.append(
        rf"\texorpdfstring{{\protect\({tex}\protect\)}}{{{bookmark}}}"
    )
    raise nodes.SkipNode


def define_for_latex(app: Sphinx, config: Config) -> None:
    preamble = [config.latex_elements.get("preamble", "")]
    for name, meaning in config.math_macros.items():
        arguments = len(set(re.findall(r"#\d", meaning)))
        count = f"[{arguments}]" if arguments else ""
        preamble.append(rf"\newcommand{{{name}}}{count}{{{meaning}}}")
    config.latex_elements["preamble"] = "\n".join(preamble)


def style_page(app: Sphinx, page: str, template: str, context, tree) -> None:
    """Load styles, fonts and the copying script only where a formula is."""
    if 'class="katex' in context.get("body", ""):
        app.add_css_file("katex/katex.min.css")
        app.add_css_file("katex/layout.css")
        app.add_js_file("katex/copy.js", loading_method="defer")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_config_value("math_macros", {}, "html", frozenset({dict}))
    app.add_html_math_renderer(
        "build_time", (visit_inline, None), (visit_block, None)
    )
    app.add_node(nodes.math, override=True, latex=(visit_for_latex, None))
    app.connect("config-inited", define_for_latex)
    app.connect("html-page-context", style_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
