"""Every picture says what it shows, and our SVGs take the page's colors.

A reader who can't see a picture has its alt text, one who skims has its
caption, and the text points to it by its name: a picture that lacks one of
them is reported, for HTML as for print. Only decoration goes without: an
`{image}` outside of cells that says `:alt: ""`. LaTeX can't set an SVG, so
each comes with a PDF.

An SVG behind `<img>` can't see the page around it, and the theme lays a light
plate under it in dark mode. So in HTML, and there only, an SVG whose class is
"book-figure" becomes part of the page. Sphinx's own image path stays in use
for all else: number, caption and reference, EPUB and LaTeX.
"""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

logger = logging.getLogger(__name__)

CELL = (
    "end the cell with figures.show and write mystnb: image: alt, figure: "
    "caption and name into it"
)
PAGE = (
    "write a {figure} with :alt:, :name: and a caption, or, for decoration, "
    'an {image} with :alt: ""; write name.* for an SVG and its PDF'
)


def around(
    node: nodes.Node, kind: type[nodes.Element], **attributes: str
) -> nodes.Element | None:
    """The nearest element around the node of this kind and attributes."""
    while node := node.parent:
        if isinstance(node, kind) and all(
            node.get(key) == value for key, value in attributes.items()
        ):
            return node
    return None


def missing(
    image: nodes.image, bundle: nodes.Element | None
) -> Iterator[str]:
    """What the picture lacks; a cell gives a bundle of formats."""
    figure = around(image, nodes.figure)
    by_directive = bool(image.rawsource)  # ![](...) forgets, {image} decides
    decoration = by_directive and not bundle and not figure
    if not (decoration and image.get("alt") == ""):
        if not image.get("alt", "").strip():
            yield "alt text"
        if not figure or not figure.next_node(nodes.caption):
            yield "caption"
        if not figure or not figure["names"]:
            yield "name"
    formats = bundle.findall(nodes.image) if bundle else [image]
    files = [file for node in formats for file in node["candidates"].values()]
    if all(file.endswith(".svg") for file in files):
        yield "PDF for print"


def check(app: Sphinx, doctree: nodes.document) -> None:
    """Report each picture that lacks words or a form that can be printed."""
    checked = set()
    for image in doctree.findall(nodes.image):
        bundle = around(image, nodes.container, nb_element="mime_bundle")
        if bundle in checked:
            continue
        checked |= {bundle} - {None}
        if lacks := ", ".join(missing(image, bundle)):
            logger.warning(
                "a picture without %s: %s",
                lacks,
                CELL if bundle else PAGE,
                location=bundle or (image if image.line else image.parent),
                type="figure",
            )


REM = 12  # points: the size of the page's text
LEAST = 0.6  # how far a narrow page shrinks a figure before it scrolls
PHONE = 22  # rem: wider than this, the figure may scroll and takes the focus


def inlined(svg: str, alt: str, prefix: str) -> str:
    """The SVG as part of a page: its own ids, a name, a size in rem."""
    svg = re.sub(r">\s+<", "><", svg[svg.index("<svg") :].strip())
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    opening, body = re.match(r"(<svg[^>]*)(.*)", svg, re.S).groups()
    width = float(re.search(r'viewBox="\S+ \S+ (\S+) ', opening)[1]) / REM
    opening = re.sub(r' (width|height)="[^"]*"', "", opening)
    opening += f' role="img" aria-label="{escape(alt)}"'
    opening += f' style="width:{width:g}rem;min-width:{width * LEAST:g}rem"'
    focus = ' tabindex="0"' if width * LEAST > PHONE else ""
    return f'<div class="book-figure-frame"{focus}>{opening}{body}</div>'


class InlineFigures(SphinxPostTransform):
    """Put our SVGs into the page."""

    default_priority = 500  # after myst-nb chose the SVG among the formats
    builders = ("html", "dirhtml", "singlehtml")

    def run(self, **_: object) -> None:
        for number, image in enumerate(
            list(self.document.findall(nodes.image))
        ):
            files = image.get("candidates", {})
            file = files.get("image/svg+xml", image["uri"])
            path = Path(self.env.srcdir, file)
            if path.suffix != ".svg" or not path.is_file():
                continue
            svg = path.read_text(encoding="utf-8")
            if 'class="book-figure"' not in svg:
                continue
            html = inlined(svg, image.get("alt", ""), f"picture-{number}")
            image.replace_self(nodes.raw("", html, format="html"))


def setup(app: Sphinx) -> ExtensionMetadata:
    app.connect("doctree-read", check)
    app.add_post_transform(InlineFigures)
    app.add_css_file("figures.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
