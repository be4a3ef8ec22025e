"""A figure that the reader plays with: a slider under its states.

`snippets.figures.slider` puts all states into one SVG, which reads as a still
of three: what EPUB and PDF show, and a page in print and without scripts.
Where scripts run, slider.css cuts that SVG to the size of one state, and
slider.js shows the one that the slider stands on. The style sheet does its
part before any script runs, so that nothing on the page moves.

inline_figures.py puts the SVG into the page; this puts the slider under it.
"""

import re
from html import unescape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata

REM = 12  # points, as in inline_figures.py

HTML = """\
<div class="book-slider" style="--width:{width:g}rem;--ratio:{x}/{y}">\
{figure}<div class="book-slider-control"><label for="{id}">{label}</label>\
<input type="range" id="{id}" min="0" max="{last}" value="0" \
aria-valuetext="{first}" autocomplete="off">\
<span class="book-slider-value" aria-hidden="true" \
style="min-width:{longest}ch">{first}</span></div></div>"""


def with_slider(figure: str, name: str) -> str:
    """The inlined figure and its slider, which stands at the first state."""
    label, x, y = re.search(
        r'data-slider="([^"]*)" data-size="(\S+) (\S+)"', figure
    ).groups()
    states = re.findall(r'data-state="([^"]*)"', figure)
    return HTML.format(
        figure=figure.replace("<g data", '<g class="shown" data', 1),
        id=name,
        label=label,
        first=states[0],
        last=len(states) - 1,
        longest=max(len(unescape(state)) for state in states),
        width=float(x) / REM,
        x=x,
        y=y,
    )


class Sliders(SphinxPostTransform):
    """Put sliders under the figures that have states."""

    default_priority = 510  # after inline_figures
    builders = ("html", "dirhtml", "singlehtml")

    def run(self, **_: object) -> None:
        figures = [
            node
            for node in self.document.findall(nodes.raw)
            if " data-slider=" in node.astext()
        ]
        for number, node in enumerate(figures):
            html = with_slider(node.astext(), f"slider-{number}")
            node.replace_self(nodes.raw("", html, format="html"))


def add_files(
    app: Sphinx, page: str, template: str, context: dict, doctree: object
) -> None:
    """Only a page that has a slider loads what moves it."""
    if 'class="book-slider"' in context.get("body", ""):
        app.add_css_file("slider.css")
        app.add_js_file("slider.js", loading_method="defer")


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_post_transform(Sliders)
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
