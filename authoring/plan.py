"""The plan of the book, and where the book does what it plans.

`plan.toml` has the lessons and what is demanded of each; what builds on the
earlier series is in `book/connections.yaml`. Tests, linters and `new-lesson`
read the plan here.

    python authoring/plan.py [LESSON ...]

prints every demand with the line that meets it, or with what it lacks.
"""

import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import yaml

from lesson_page import PLACEHOLDER, Block, read

ROOT = Path(__file__).parents[1]
PROSE = ("text", "item", "cell", "heading")


@dataclass
class Demand:
    """What a lesson has to do, and how one can tell that it does."""

    what: str
    section: str = ""
    recaps: list[str] = field(default_factory=list)
    says: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    depth: str = ""

    def lacks(self, blocks: list[Block]) -> list[str]:
        """What of the demand these blocks don't meet."""
        if self.section:
            blocks = [b for b in blocks if b.section == self.section]
        linked = {label for block in blocks for label in links_of(block)}
        code = "\n".join(b.body for b in blocks if b.is_cell)
        lacks = [
            f"a link to {label}"
            for label in self.recaps
            if label not in linked
        ]
        lacks += [f"code: {p}" for p in self.runs if not re.search(p, code)]
        if self.depth == "introduced":
            parts = [p for p in parts_of(blocks) if has_demonstration(p)]
            if not any(says_all(self.says, part) for part in parts):
                lacks.append("a section on it with a figure and a cell")
        elif self.depth == "mentioned":
            cited = ([b] for b in blocks if cites(b))
            if not any(says_all(self.says, part) for part in cited):
                lacks.append("a paragraph on it with a citation")
        else:
            lacks += [
                f"words: {p}" for p in self.says if not line_of(p, blocks)
            ]
        if self.section and lacks:
            lacks[-1] += f" in `{self.section}`"
        return lacks

    def line(self, blocks: list[Block]) -> int:
        """Where it is met: the first line that says the first of it."""
        if self.section:
            blocks = [b for b in blocks if b.section == self.section]
        for label in self.recaps:
            for block in blocks:
                if label in links_of(block):
                    return block.line
        for pattern in self.says:
            return line_of(pattern, blocks)
        for pattern in self.runs:
            for block in blocks:
                if block.is_cell and re.search(pattern, block.body):
                    return block.line
        return 1


@dataclass
class Lesson:
    """A lesson of the plan."""

    number: int
    page: str
    title: str
    asks: str
    snippets: list[str]
    demands: list[Demand]

    @property
    def slug(self) -> str:
        """The name of its page, without the module's folder."""
        return self.page.partition("/")[2]

    @property
    def module(self) -> str:
        """The folder of its module."""
        return self.page.partition("/")[0]

    def file(self, root: Path = ROOT) -> Path:
        """Its page, written or not."""
        return root / "book" / f"{self.page}.md"

    def state(self, root: Path = ROOT) -> str:
        """Planned, begun (a template's words stand in it), or written."""
        own = [root / f"src/snippets/{name}.py" for name in self.snippets]
        if not self.file(root).is_file():
            return "planned"
        files = [self.file(root), *filter(Path.is_file, own)]
        texts = [file.read_text(encoding="utf-8") for file in files]
        return "begun" if any(map(PLACEHOLDER.search, texts)) else "written"


def found(pattern: str, text: str) -> bool:
    """Whether a text has a pattern; capitals count if the pattern has any."""
    flags = re.IGNORECASE if pattern == pattern.lower() else re.NOFLAG
    return bool(re.search(pattern, text, flags))


def line_of(pattern: str, blocks: list[Block]) -> int:
    """The first line of prose in which a pattern is found, or 0."""
    for block in blocks:
        if block.kind in PROSE and found(pattern, block.text):
            return block.line
    return 0


def says_all(patterns: list[str], blocks: list[Block]) -> bool:
    """Whether each pattern is found in the blocks' prose."""
    return all(line_of(pattern, blocks) for pattern in patterns)


def links_of(block: Block) -> list[str]:
    """The labels that a block refers to."""
    return [
        re.sub(r".*<(.+)>$", r"\1", target, flags=re.DOTALL)
        for role, target in block.roles
        if role == "ref"
    ]


def cites(block: Block) -> bool:
    """Whether a block cites a work."""
    return any(role.startswith("cite") for role, _ in block.roles)


def parts_of(blocks: list[Block]) -> list[list[Block]]:
    """The blocks under each heading of the second and third level."""
    parts: list[list[Block]] = [[]]
    for block in blocks:
        if block.kind == "heading":
            parts.append([])
        parts[-1].append(block)
    return parts


def has_demonstration(blocks: list[Block]) -> bool:
    """A figure and a cell that stands open, or one cell that is both."""
    cells = [b for b in blocks if b.is_cell and "remove-cell" not in b.tags]
    return bool(cells) and any(b.makes_figure for b in blocks)


def connections(root: Path = ROOT) -> dict[str, list[Demand]]:
    """What each lesson builds on, by the rows of connections.yaml."""
    demands: dict[str, list[Demand]] = {}
    text = (root / "book/connections.yaml").read_text(encoding="utf-8")
    for row in yaml.safe_load(text)["rows"]:
        for page in row["lessons"]:
            what = f"{row['new']} builds on {row['source']}"
            recaps = list(row["builds_on"].values())
            demands.setdefault(page, []).append(Demand(what, recaps=recaps))
    return demands


def load(root: Path = ROOT) -> list[Lesson]:
    """The lessons in their order, with all that is demanded of them."""
    file = root / "authoring" / "plan.toml"
    rows = tomllib.loads(file.read_text(encoding="utf-8"))["lesson"]
    builds_on = connections(root)
    return [
        Lesson(
            number,
            row["page"],
            row["title"],
            row["asks"],
            row["snippets"],
            [Demand(**demand) for demand in row["demands"]]
            + builds_on.get(row["page"], []),
        )
        for number, row in enumerate(rows, 1)
    ]


def find(slug: str, lessons: list[Lesson]) -> Lesson:
    """The lesson of that name, by the last part of its page's name."""
    slugs = {lesson.slug: lesson for lesson in lessons}
    slug = slug.rpartition("/")[2].removesuffix(".md")
    if slug not in slugs:
        near = get_close_matches(slug, slugs, 3, cutoff=0.3) or slugs
        raise ValueError(
            f"the plan has no lesson {slug!r}; the nearest: {', '.join(near)}"
        )
    return slugs[slug]


def missing(lesson: Lesson, root: Path = ROOT) -> dict[str, list[str]]:
    """The demands that a lesson's page does not meet, with what they lack."""
    blocks = read(lesson.file(root))
    lacks = {d.what: d.lacks(blocks) for d in lesson.demands}
    return {what: lacks[what] for what in lacks if lacks[what]}


def report(lesson: Lesson, root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """For each demand: how it stands, and what it is with where or why."""
    planned = lesson.state(root) == "planned"
    blocks = [] if planned else read(lesson.file(root))
    for demand in lesson.demands:
        if planned:
            yield "to do", demand.what
        elif lacks := demand.lacks(blocks):
            yield "MISSING", f"{demand.what}: {'; '.join(lacks)}"
        else:
            where = f"{lesson.slug}.md:{demand.line(blocks)}"
            yield "done", f"{demand.what} ({where})"


def main(arguments: list[str]) -> int:
    """Print the plan, or the lessons whose names are given."""
    lessons = load()
    try:
        lessons = [find(name, lessons) for name in arguments] or lessons
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    counts: Counter[str] = Counter()
    for lesson in lessons:
        print(f"{lesson.number:2} {lesson.title}: {lesson.state()}")
        for how, what in report(lesson):
            counts[how] += 1
            print(f"   {how:>7}  {what}")
    print(", ".join(f"{count} {how}" for how, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
