"""The line of facts under a lesson's title, from its front matter.

    lesson: {number: 17, minutes: 50, anchor: dao2024transformers,
             snippets: [ssm], checked: 2026-11}

`number` is the lesson's chapter (see `numbering`), `minutes` the time to
read, `anchor` the key of the paper that the lesson prepares for, `snippets`
the modules it shows, `checked` when its facts were last checked against
their sources. Tests and the author's tools read the same lines.
"""

from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

FACTS = {"number", "minutes", "anchor", "snippets", "checked"}


def front_matter(page: Path) -> dict:
    """The YAML between the first two lines of dashes."""
    text = page.read_text(encoding="utf-8")
    if not text.startswith("---\n"):
        return {}
    return yaml.safe_load(text.split("---\n", 2)[1])


class LessonFacts(SphinxDirective):
    """`{lesson-facts}`: module, minutes, anchor paper, notebook, date."""

    def run(self) -> list[nodes.Node]:
        page = Path(self.env.doc2path(self.env.docname))
        facts = front_matter(page).get("lesson", {})
        if facts.keys() != FACTS:
            raise self.error(
                "the front matter needs `lesson: {number: N, minutes: 50,"
                " anchor: KEY, snippets: [MODULE], checked: YYYY-MM}`;"
                " missing or unknown:"
                f" {', '.join(sorted(FACTS ^ facts.keys()))}"
            )
        notebook = f"{{nb-download}}`notebook <{page.stem}.ipynb>`"
        paragraph = nodes.paragraph(classes=["lesson-facts"])
        paragraph += self.inline(
            f"{{doc}}`index` · {facts['minutes']} minutes · anchor paper"
            f" {{cite:t}}`{facts['anchor']}` · facts checked"
            f" {facts['checked']}"
        )
        on_screen = addnodes.only(expr="html")
        on_screen += [nodes.Text(" · "), *self.inline(notebook)]
        paragraph += on_screen
        return [paragraph]

    def inline(self, text: str) -> list[nodes.Node]:
        (paragraph,) = self.parse_text_to_nodes(text)
        return paragraph.children


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("lesson-facts", LessonFacts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
