"""The book on paper: what Sphinx's LaTeX lacks for a book of modules.

- A module is a part, its lessons are chapters. The other pages of the book's
  own table of contents are chapters without a number.
- LaTeX would count anew and print other numbers than the HTML has. Here every
  number is the HTML's, written out.
- An exercise says on which page its solution is (see `paper_order`).

How things look is decided in _latex/book.sty.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.latex import LaTeXTranslator
from sphinx_exercise import nodes as exercise


class BookTranslator(LaTeXTranslator):
    """Sphinx's LaTeX, with the structure and the numbers of the HTML."""

    def is_module(self, docname: str) -> bool:
        title = self.builder.env.titles[docname].astext()
        return title.startswith("Module ")

    def is_chapter(self, docname: str) -> bool:
        """Whether the page would be a part for Sphinx, and is none."""
        env = self.builder.env
        in_book = docname in env.toctree_includes.get(env.config.root_doc, ())
        return in_book and not self.is_module(docname)

    def visit_start_of_file(self, node: nodes.Element) -> None:
        super().visit_start_of_file(node)
        self.sectionlevel += self.is_chapter(node["docname"])

    def depart_start_of_file(self, node: nodes.Element) -> None:
        self.sectionlevel -= self.is_chapter(node["docname"])
        if self.is_module(node["docname"]):
            self.body.append("\n\\backtoroot\n")
        super().depart_start_of_file(node)

    def visit_title(self, node: nodes.Element) -> None:
        super().visit_title(node)
        if not isinstance(node.parent, nodes.section):
            return
        deepest = len(self.sectionnames) - 1
        level = self.sectionnames[min(self.sectionlevel, deepest)]
        if number := self.section_number(node.parent):
            heading = rf"\setcounter{{{level}}}{{{number[-1] - 1}}}\{level}"
        else:
            heading = rf"\unnumbered{{{level}}}"
        self.body[-1] = self.body[-1].replace(rf"\{level}", heading, 1)

    def section_number(self, section: nodes.section) -> tuple[int, ...]:
        docname = self.curfilestack[-1]
        numbers = self.builder.env.toc_secnumbers.get(docname, {})
        is_page = not isinstance(section.parent, nodes.section)
        anchors = [""] if is_page else [f"#{name}" for name in section["ids"]]
        return next((numbers[a] for a in anchors if numbers.get(a)), ())

    def number(self, kind: str, node: nodes.Element) -> str:
        """The number that HTML shows for a figure, a table..., or ""."""
        docname = self.curfilestack[-1]
        numbers = self.builder.env.toc_fignumbers.get(docname, {})
        of_kind = numbers.get(kind, {})
        found = (of_kind[name] for name in node["ids"] if name in of_kind)
        return ".".join(map(str, next(found, ())))

    def set_number(
        self, counter: str, kind: str, node: nodes.Element
    ) -> None:
        if number := self.number(kind, node):
            self.body.append(rf"\setnumber{{{counter}}}{{{number}}}")

    def visit_figure(self, node: nodes.Element) -> None:
        self.set_number("figure", "figure", node)
        super().visit_figure(node)

    def visit_captioned_literal_block(self, node: nodes.Element) -> None:
        self.set_number("literalblock", "code-block", node)
        super().visit_captioned_literal_block(node)

    def visit_literal_block(self, node: nodes.Element) -> None:
        lines = node.astext().count("\n") + 1
        if not (self.table or self.in_footnote):
            self.body.append(rf"\keeplines{{{lines}}}")
        super().visit_literal_block(node)

    def visit_math_block(self, node: nodes.math_block) -> None:
        self.set_number("equation", "displaymath", node)
        super().visit_math_block(node)

    def depart_table(self, node: nodes.Element) -> None:
        self.set_number("table", "table", node)
        self.body.append(rf"\columns{{{self.tables[-1].colcount}}}")
        super().depart_table(node)

    def visit_transition(self, node: nodes.Element) -> None:
        """Leave out MyST's line above footnotes: they are elsewhere."""
        if "footnotes" not in node["classes"]:
            super().visit_transition(node)

    # sphinx-exercise's own visitors number and link wrongly between pages
    def label_of(self, docname: str, name: str) -> str:
        return self.idescape(f"{docname}:{name}")

    def visit_exercise(self, node: nodes.Element) -> None:
        number = self.number("exercise", node)
        label = self.label_of(node["docname"], node["label"])
        self.body.append(rf"{{\setlabel{{{number}}}\label{{{label}}}}}")
        self.visit_admonition(node)

    def depart_exercise(self, node: nodes.Element) -> None:
        if "solution" in node:
            label = self.label_of(node["docname"], node["solution"])
            self.body.append(rf"\solutionpage{{{label}}}")
        self.depart_admonition(node)

    def visit_exercise_reference(self, node: nodes.Element) -> None:
        label = self.label_of(self.curfilestack[-1], node["refid"])
        text = self.escape(node.astext())
        self.body.append(rf"\hyperref[{label}]{{{text}}}")
        raise nodes.SkipNode

    def visit_solution(self, node: nodes.Element) -> None:
        label = self.label_of(node["docname"], node["label"])
        self.body.append(rf"\phantomsection\label{{{label}}}\solution")

    def depart_solution(self, node: nodes.Element) -> None:
        self.body.append("\n")


def complete_single_page(app: Sphinx) -> None:
    """Let the quick copy's builder write what HTML writes.

    sphinx-exercise names visitors for "singlehtml"; from then on Sphinx
    doesn't look for those of other extensions under "html".
    """
    known = app.registry.translation_handlers
    known["singlehtml"] = known["html"] | known.get("singlehtml", {})


def setup(app: Sphinx) -> ExtensionMetadata:
    app.set_translator("latex", BookTranslator)
    app.connect("builder-inited", complete_single_page)
    book = BookTranslator
    for node, visitors in {
        exercise.exercise_node: (book.visit_exercise, book.depart_exercise),
        exercise.exercise_enumerable_node: (
            book.visit_exercise,
            book.depart_exercise,
        ),
        exercise.solution_node: (book.visit_solution, book.depart_solution),
        exercise.exercise_latex_number_reference: (
            book.visit_exercise_reference,
            None,
        ),
    }.items():
        app.add_node(node, override=True, latex=visitors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
