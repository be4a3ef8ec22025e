"""A lesson's page as its reader meets it: blocks in order, each with a line.

The page is parsed as the book parses it, by MyST, so that what looks like
prose in a code cell, or like a heading in a formula, is not taken for one.
Directives with prose in them (an exercise, a box) are opened: their blocks
follow them and know what they stand in.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

SYNTAX = {"amsmath", "colon_fence", "deflist", "dollarmath", "fieldlist"}
DIRECTIVE = re.compile(r"\{([\w:-]+)\} *(.*)")
OPTION = re.compile(r":([\w-]+):(?: +(.*))?$")
OPAQUE = {"code-cell", "literalinclude", "math", "glossary", "eval-rst"}
FORMULAS = ("math_block", "math_block_label", "amsmath")
LISTS = {"bullet_list_open": "bullet", "ordered_list_open": "numbered"}
TITLED = {"term", "ref", "doc", "numref"}  # roles that show their text
DRAWS = re.compile(r"\bfigures\.(show|slider)\(")
# in the templates, what an author has to write stands in capitals
PLACEHOLDER = re.compile(r"\b[A-Z']{2,}(?: [A-Z']+){2,}")
ELSE = "x"  # stands in prose for a formula, a name, a citation, a number


@dataclass
class Block:
    """A heading, paragraph, table row, formula, listing, cell or directive.

    `kind` is "heading", "text", "item", "cell" (of a table), "math", "code"
    or "directive"; `name` the heading's level ("h2"), the kind of list, the
    formula's label or the directive's name; `text` what the reader reads, an
    x for all that is no prose; `within` the directive around it; `section`
    the heading of the second level above it.
    """

    kind: str
    line: int
    text: str = ""
    name: str = ""
    options: dict = field(default_factory=dict)
    body: str = ""
    body_line: int = 0
    roles: list[tuple[str, str]] = field(default_factory=list)
    within: str = ""
    section: str = ""

    @property
    def is_cell(self) -> bool:
        """Whether it is code that runs."""
        return self.name == "code-cell"

    @property
    def makes_figure(self) -> bool:
        """Whether a picture stands here."""
        return self.name == "figure" or (
            self.is_cell and bool(DRAWS.search(self.body))
        )

    @property
    def tags(self) -> set[str]:
        """The tags of a cell."""
        return set(re.findall(r"[\w-]+", str(self.options.get("tags", ""))))

    @property
    def is_open(self) -> bool:
        """Whether it is code that stands on the page unfolded."""
        hidden = {"remove-cell", "hide-input", "remove-input", "hide-cell"}
        return self.is_cell and not self.tags & hidden

    @property
    def words(self) -> int:
        """How many words a reader reads here."""
        return len(re.findall(r"\S*\w\S*", self.text))

    @property
    def caption(self) -> str:
        """What stands under a picture or a listing."""
        figure = (self.options.get("mystnb") or {}).get("figure") or {}
        return figure.get("caption") or self.options.get("caption", "")


@cache
def markdown() -> MarkdownIt:
    """The parser that the book's pages go through."""
    config = MdParserConfig(enable_extensions=SYNTAX)
    return create_md_parser(config, RendererHTML)


def prose(inline: Token) -> str:
    """The words of a paragraph, an x for each thing that is not prose."""
    said = []
    for token in inline.children or []:
        match token.type:
            case "text":
                said.append(token.content)
            case "softbreak" | "hardbreak":
                said.append("\n")
            case "myst_role" if token.meta["name"] in TITLED:
                shown = re.sub(r"\s*<[^>]*>$", "", token.content)
                named = shown != token.content or token.meta["name"] == "term"
                said.append(shown if named else ELSE)
            case "myst_role" if token.meta["name"].startswith("cite:p"):
                pass
            case "math_inline" | "code_inline" | "myst_role" | "image":
                said.append(ELSE)
    return "".join(said)


def roles(inline: Token) -> list[tuple[str, str]]:
    """Roles with their contents, and `code` as the role "code"."""
    return [
        (t.meta.get("name", "code"), t.content)
        for t in inline.children or []
        if t.type in ("myst_role", "code_inline")
    ]


def split_options(content: str) -> tuple[dict, int]:
    """A directive's options, and how many lines they take."""
    lines = content.splitlines()
    if lines[:1] == ["---"] and "---" in lines[1:]:
        end = lines.index("---", 1)
        return yaml.safe_load("\n".join(lines[1:end])) or {}, end + 1
    options, count = {}, 0
    for count, text in enumerate([*lines, ""]):  # noqa: B007
        if not (found := OPTION.match(text)):
            break
        options[found[1]] = found[2] or ""
    return options, count


def directive(token: Token, start: int) -> Iterator[Block]:
    """A fence: the directive, then what is written in it."""
    named = DIRECTIVE.match(token.info.strip())
    if not named:
        yield Block("code", start, body=token.content, body_line=start + 1)
        return
    options, taken = split_options(token.content)
    body = "\n".join(token.content.splitlines()[taken:])
    block = Block("directive", start, named[2].strip(), named[1], options)
    block.body, block.body_line = body, start + 1 + taken
    yield block
    if block.name not in OPAQUE:
        for inner in blocks(body, block.body_line):
            inner.within = inner.within or block.name
            yield inner


def blocks(text: str, first_line: int = 1) -> Iterator[Block]:
    """The blocks of a text, in order, without their sections."""
    lists: list[str] = []
    cell, before = False, None
    for token in markdown().parse(text):
        if token.type in LISTS:
            lists.append(LISTS[token.type])
        elif lists and token.type in (
            "bullet_list_close",
            "ordered_list_close",
        ):
            lists.pop()
        elif token.type in ("th_open", "td_open", "th_close", "td_close"):
            cell = token.nesting == 1
        line = first_line + (token.map[0] if token.map else 0)
        if token.type == "inline":
            kind = "cell" if cell else "item" if lists else "text"
            name = lists[-1] if lists else ""
            if before and before.type == "heading_open":
                kind, name = "heading", before.tag
            yield Block(kind, line, prose(token), name, roles=roles(token))
        elif token.type in FORMULAS:
            yield Block("math", line, name=token.info.strip())
        elif token.type in ("fence", "colon_fence", "code_block"):
            yield from directive(token, line)
        before = token


def read(page: Path) -> list[Block]:
    """The blocks of a page; gated exercises and solutions reach their end."""
    section, gate, found = "", "", []
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.kind == "heading" and block.name == "h2":
            section = block.text
        if block.name.endswith("-end"):
            gate = ""
        block.section, block.within = section, block.within or gate
        if block.name.endswith("-start"):
            block.name = gate = block.name.removesuffix("-start")
        found.append(block)
    return found


def listing(page: Path, block: Block) -> tuple[str, int]:
    """The source that a literalinclude shows, and its first line."""
    file = (page.parent / block.text).resolve()
    name = block.options.get("pyobject", "")
    if file.suffix != ".py" or not file.is_file():
        return "", 1  # Sphinx reports what can't be read
    source = file.read_text(encoding="utf-8")
    nodes = ast.parse(source).body
    for step in name.split("."):
        found = [n for n in nodes if getattr(n, "name", None) == step]
        if not found:
            return ("", 1) if name else (source, 1)
        nodes = getattr(found[0], "body", [])
    lines = source.splitlines()
    first, last = found[0].lineno, found[0].end_lineno
    return "\n".join(lines[first - 1 : last]), first


def shown(page: Path, blocks: list[Block]) -> Iterator[tuple[Block, str]]:
    """Code that stands open on the page and in print."""
    for block in blocks:
        if block.is_open:
            yield block, block.body
        elif block.name == "literalinclude":
            yield block, listing(page, block)[0]
