"""How works are cited and listed, and what is said about faults."""

import re
from html import unescape

import pytest
from pybtex.database import parse_string

from works import WorkStyle, all_authors

DAO = """
@inproceedings{dao2024transformers,
  author = {Dao, Tri and Gu, Albert},
  title = {Transformers are {SSMs}: Generalized Models},
  year = {2024},
  booktitle = {International Conference on Machine Learning (ICML)},
  eprint = {2405.21060},
  url = {https://proceedings.mlr.press/v235/dao24a.html},
}
"""
ZOOLOGY = """
@misc{arora2024zoology,
  author = {Arora, Simran and Eyuboglu, Sabri and R{\\'e}, Christopher},
  title = {Zoology},
  year = {2024},
  howpublished = {A Blog},
  doi = {10.1000/182},
}
"""
BASED = """
@article{arora2024based,
  author = {Arora, Simran and others},
  title = {Based: Is Linear Attention Enough?},
  year = {2024},
  journal = {A Journal},
  url = {https://example.org/based},
}
"""
UNCITED = """
@misc{anthropic2026a,
  author = {{Anthropic}}, title = {A}, year = 2026, eprint = {2601.00001}}
"""
BIB = UNCITED + BASED + ZOOLOGY + DAO

DAO_ABOUT = (
    "Transformers are SSMs: Generalized Models. International Conference on "
    "Machine Learning (ICML), 2024. arXiv:2405.21060"
)
ZOOLOGY_ABOUT = "Zoology. A Blog, 2024. doi:10.1000/182"
BASED_ABOUT = (
    "Based: Is Linear Attention Enough? A Journal, 2024. example.org"
)

INDEX = """# Book

```{toctree}
:numbered:
mamba
hybrid
```

```{toctree}
bibliography
```
"""
MAMBA = """# Mamba

As {cite:t}`dao2024transformers` say. So it is
{cite:p}`dao2024transformers,{see}arora2024zoology{Table 2}`.

## References

```{lesson-references}
```
"""
HYBRID = """# Hybrid

As {cite:t}`arora2024zoology{Section 3}` say.

## References

```{lesson-references}
```
"""


@pytest.fixture
def book(tiny):
    tiny.configure(
        "myst_parser",
        "sphinxcontrib.bibtex",
        "honest_build",
        "citations",
        bibtex_bibfiles=["../references.bib"],
        bibtex_default_style="book",
        bibtex_reference_style="book",
        bibtex_cite_id="{key}",
        bibtex_tooltips=False,
        html_theme="basic",
    )
    tiny.write("../references.bib", BIB)
    tiny.write("index.md", INDEX)
    tiny.write("mamba.md", MAMBA)
    tiny.write("hybrid.md", HYBRID)
    tiny.write(
        "bibliography.md", "# Bibliography\n\n```{bibliography}\n```\n"
    )
    return tiny


def texts(built, page, tag):
    """The visible text of every such element of a page's main part."""
    body = re.search(
        r'role="main">(.*?)class="clearer"', built.html(page), re.S
    )
    assert body is not None
    found = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", body[1], re.S)
    return [
        unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", "", text))).strip()
        for text in found
    ]


def test_text_and_lists_agree_and_follow_every_edit(book):
    first = book.build("html", "-j", "2")
    assert first.code == 0, first.log
    assert texts(first, "mamba", "p") == [
        "As Dao and Gu (2024) say. So it is "
        "(see Arora et al., 2024, Table 2; Dao and Gu, 2024).",
        f"Arora et al., 2024. {ZOOLOGY_ABOUT}",
        f"Dao and Gu, 2024. {DAO_ABOUT}",
    ]
    assert texts(first, "hybrid", "p") == [
        "As Arora et al. (2024, Section 3) say.",
        f"Arora et al., 2024. {ZOOLOGY_ABOUT}",
    ]
    labels = ["Arora et al., 2024", "Dao and Gu, 2024"]
    assert texts(first, "bibliography", "dt") == labels
    assert texts(first, "bibliography", "p") == [
        f"Simran Arora, Sabri Eyuboglu, and Christopher Ré. {ZOOLOGY_ABOUT}",
        "arora2024zoology cited in 1. Mamba; 2. Hybrid",
        f"Tri Dao and Albert Gu. {DAO_ABOUT}",
        "dao2024transformers cited in 1. Mamba",
    ]
    for link in (
        'href="bibliography.html#dao2024transformers">Dao and Gu (2024)</a>',
        'href="bibliography.html#dao2024transformers">Dao and Gu, 2024</a>',
        'href="https://arxiv.org/abs/2405.21060">arXiv:2405.21060</a>',
    ):
        assert link in first.html("mamba")
    assert 'id="dao2024transformers"' in first.html("bibliography")
    assert 'href="mamba.html"' in first.html("bibliography")

    # A citation on one page makes a label on another ambiguous.
    book.write("hybrid.md", HYBRID.replace("say.", "{cite}`arora2024based`."))
    second = book.build()
    assert second.code == 0, second.log
    letters = texts(second, "bibliography", "dt")[:2]
    assert letters == ["Arora et al., 2024a", "Arora et al., 2024b"]
    assert "see Arora et al., 2024b, Table" in texts(second, "mamba", "p")[0]
    assert BASED_ABOUT in texts(second, "hybrid", "p")[1]
    assert len(texts(second, "mamba", "p")) == 3

    # An edit of references.bib reaches the pages that cite, unread.
    bib = BIB.replace("{Zoology}", "{Zoology: Measuring Recall}")
    book.write("../references.bib", bib)
    third = book.build("html", "-v")
    assert third.code == 0, third.log
    for page in ("mamba", "hybrid", "bibliography"):
        assert "Zoology: Measuring Recall." in third.html(page)
    read = re.findall(r"reading sources.*\] (.*)", third.log)
    assert read == ["bibliography"]

    # A new first chapter changes the numbers in the bibliography.
    book.write("preface.md", "# Preface\n")
    book.write("index.md", INDEX.replace("mamba", "preface\nmamba"))
    renumbered = book.build()
    assert renumbered.code == 0, renumbered.log
    uses = texts(renumbered, "bibliography", "p")
    assert "arora2024zoology cited in 2. Mamba; 3. Hybrid" in uses

    # A work that is gone is missed by the pages that nobody touched.
    book.write("../references.bib", bib.replace(DAO, ""))
    fourth = book.build()
    assert fourth.code == 1
    assert fourth.log.count("has no dao2024transformers") == 2


def test_print_has_one_bibliography_and_its_links_lead_there(book):
    built = book.build("latex")
    assert built.code == 0, built.log
    (tex,) = built.out.glob("*.tex")
    text = tex.read_text()
    assert len(re.findall(r"\\chapter\{Bibliography\}", text)) == 1
    assert "thebibliography" not in text
    assert "bibitem" not in text
    assert (
        text.count(r"\label{\detokenize{bibliography:arora2024zoology}}") == 1
    )
    link = r"\hyperref[\detokenize{bibliography:arora2024zoology}]"
    assert text.count(link) == 4  # twice in sentences, twice in lists
    assert r"\hyperref[\detokenize{mamba::doc}]" in text
    assert r"\sphinxhref{https://doi.org/10.1000/182}" in text


def test_unknown_key_names_place_and_nearest_keys(book):
    book.write("hybrid.md", "# Hybrid\n\nSee {cite:p}`dao2024transformer`.\n")
    for _ in range(2):
        built = book.build()
        assert built.code == 1
        (message,) = re.findall(".*WARNING.*", built.log)
        place, _, advice = message.partition(": WARNING: ")
        assert place.endswith("hybrid.md:3")
        assert "dao2024transformer;" in advice
        near = advice.rpartition(": ")[2].split(", ")
        assert len(near) == 3
        assert near[0] == "dao2024transformers"


def test_build_stops_at_the_first_fault_of_the_file(book):
    path = book.write("../references.bib", BIB + DAO + ZOOLOGY)
    above = BIB.removesuffix(DAO), BIB
    first, again = (text.count("\n") + 2 for text in above)
    built = book.build()
    assert built.code == 2
    (message,) = re.findall(r".*: ERROR: .*", built.log)
    assert message == (
        f"{path.resolve()}:{again}: ERROR: dao2024transformers stands in"
        f" line {first} too: keep one of them"
    )
    assert "WARNING" not in built.log
    assert not list(built.out.glob("*.html"))


def test_labels_sort_as_they_read():
    authors = {
        "z": "Zou, A and others",
        "e": "Ébauche, A and Dao, T",
        "f": "Ecker, A and Dao, T and Gu, A",
        "d": "{DeepSeek-AI} and Liu, A and others",
        "v": "van den Oord, Aaron",
    }
    bib = "".join(
        f"@misc{{{key}, author={{{who}}}, title={{T}}, year=2025}}\n"
        for key, who in authors.items()
    )
    style, works = WorkStyle(), parse_string(bib, "bibtex").entries
    assert list(style.format_labels(style.sort(works.values()))) == [
        "DeepSeek-AI et al., 2025",
        "Ébauche and Dao, 2025",
        "Ecker et al., 2025",
        "van den Oord, 2025",
        "Zou et al., 2025",
    ]
    assert all_authors(works["v"]) == "Aaron van den Oord."
    assert all_authors(works["d"]) == "DeepSeek-AI, A Liu et al."
