"""The order of a book on paper, where nothing can be folded away.

Solutions, folded in HTML, stand at the end of their chapter. The code of a
cell tagged `hide-input` is left to HTML and notebook. What a module's page
says below the list of its lessons stands before them.
"""

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.typing import ExtensionMetadata
from sphinx_exercise.nodes import is_exercise_node, solution_node


def solutions(node: nodes.Element) -> Iterator[tuple[nodes.Element, ...]]:
    """Each solution on a page, after the node that holds it.

    sphinx-exercise leaves nodes whose `parent` isn't theirs.
    """
    for child in node.children:
        if isinstance(child, solution_node):
            yield node, child
        elif not isinstance(child, (addnodes.start_of_file, nodes.Text)):
            yield from solutions(child)


class PaperOrder(SphinxPostTransform):
    """Put what the pages hold in the order of a book."""

    default_priority = 30  # sphinx-exercise has made its titles by then
    formats = ("latex",)

    def run(self, **kwargs: Any) -> None:
        for page in list(self.document.findall(addnodes.start_of_file)):
            section = next(page.findall(nodes.section))
            self.lessons_last(section)
            self.solutions_last(section)
        for cell in self.document.findall(nodes.container):
            if "tag_hide-input" in cell["classes"]:
                cell.children = [
                    part
                    for part in cell.children
                    if "cell_input" not in part["classes"]
                ]

    def lessons_last(self, section: nodes.section) -> None:
        """Below the list of its lessons a module's page may go on."""
        for child in list(section.children):
            if next(child.findall(addnodes.start_of_file), None):
                section.remove(child)
                section.append(child)

    def solutions_last(self, section: nodes.section) -> None:
        if not (found := list(solutions(section))):
            return
        heading = nodes.title("", "Solutions")
        last = nodes.section("", heading, ids=["solutions"])
        for parent, solution in found:
            parent.remove(solution)
            last.append(solution)
        section.append(last)
        label = {node["target_label"]: node["label"] for node in last[1:]}
        for node in section.findall(is_exercise_node):
            if node["label"] in label:
                node["solution"] = label[node["label"]]


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_post_transform(PaperOrder)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
