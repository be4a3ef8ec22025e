"""Words find works; pasted BibTeX comes out in one form, or not at all."""

import io
import re
from pathlib import Path

import pytest

import cite
from reference_file import add, replace
from references import faults, parse

HERE = Path(__file__).parent
REAL = (HERE.parents[1] / "references.bib").read_text()

ARXIV = r"""
@misc{yang2025kimideltaattention,
      title={Gated Linear Attention Transformers with LLMs: {A} Test of O(n^2)},
      author={Songlin Yang and Bailin Wang and Yikang Shen and Rameswar Panda and Yoon Kim},
      year={2023},
      eprint={2312.06635},
      archivePrefix={arXiv},
      primaryClass={cs.LG},
      url={https://arxiv.org/abs/2312.06635},
}
"""  # noqa: E501
ARXIV_TIDY = """@misc{yang2023gated,
  author = {Yang, Songlin and Wang, Bailin and Shen, Yikang and Panda, Rameswar and Kim, Yoon},
  title = {Gated Linear Attention Transformers with {LLMs}: {A} Test of O(n^2)},
  year = {2023},
  eprint = {2312.06635},
  archivePrefix = {arXiv},
  url = {https://arxiv.org/abs/2312.06635},
}
"""  # noqa: E501

SCHOLAR = r"""
@article{team2025kimi,
  title={Kimi k1. 5: Scaling reinforcement learning with {$\{$LLMs$\}$}},
  author={Team, Kimi and Du, Angang and Gao, Bofei and Xing, Bowei and Jiang, Changjiu and Chen, Cheng and Li, Cheng and Xiao, Chenjun and Du, Chenzhuang and Liao, Chonghua and others},
  journal={arXiv preprint arXiv:2501.12599},
  year={2025}
}
"""  # noqa: E501
SCHOLAR_TIDY = """@misc{kimiteam2025kimi,
  author = {{Kimi Team} and Du, Angang and Gao, Bofei and Xing, Bowei and Jiang, Changjiu and Chen, Cheng and Li, Cheng and Xiao, Chenjun and Du, Chenzhuang and Liao, Chonghua and others},
  title = {Kimi k1. 5: Scaling reinforcement learning with {LLMs}},
  year = {2025},
  eprint = {2501.12599},
  archivePrefix = {arXiv},
  url = {https://arxiv.org/abs/2501.12599},
}
"""  # noqa: E501

ANTHOLOGY = r"""
@inproceedings{ahmadian-etal-2024-back,
    title = "Back to Basics: Revisiting {REINFORCE}-Style Optimization for Learning from Human Feedback in {LLM}s",
    author = {Ahmadian, Arash  and
      Gall{\'e}, Matthias  and
      {\"U}st{\"u}n, Ahmet  and
      S{\o}gaard, Anders and
      Vuli{\'c}, Ivan and Garc\'{\i}a, Jos\'e and {\L}ukasz Kaiser},
    editor = "Ku, Lun-Wei  and
      Martins, Andre",
    booktitle = "Proceedings of the 62nd Annual Meeting of the Association for Computational Linguistics (Volume 1: Long Papers)",
    month = aug,
    year = "2024",
    address = "Bangkok, Thailand",
    publisher = "Association for Computational Linguistics",
    url = "https://aclanthology.org/2024.acl-long.662/",
    doi = "10.18653/v1/2024.acl-long.662",
    pages = "12248--12267",
    abstract = "{AI} alignment, in 50{\%} of cases @ scale."
}
"""  # noqa: E501
ANTHOLOGY_TIDY = """@inproceedings{ahmadian2024back,
  author = {Ahmadian, Arash and Gallé, Matthias and Üstün, Ahmet and Søgaard, Anders and Vulić, Ivan and García, José and Kaiser, Łukasz},
  title = {Back to Basics: Revisiting {REINFORCE}-Style Optimization for Learning from Human Feedback in {LLM}s},
  year = {2024},
  booktitle = {Proceedings of the 62nd Annual Meeting of the Association for Computational Linguistics (Volume 1: Long Papers)},
  doi = {10.18653/v1/2024.acl-long.662},
  url = {https://aclanthology.org/2024.acl-long.662/},
}
"""  # noqa: E501

OPENREVIEW = r"""
@inproceedings{
xiao2024efficient,
title={Efficient Streaming Language Models with Attention Sinks},
author={Guangxuan Xiao and Yuandong Tian and Beidi Chen and Song Han and Mike Lewis},
booktitle={The Twelfth International Conference on Learning Representations},
year={2024},
url={https://openreview.net/forum?id=NG7sS51zVF}
}
"""  # noqa: E501
OPENREVIEW_TIDY = """@inproceedings{xiao2024efficient,
  author = {Xiao, Guangxuan and Tian, Yuandong and Chen, Beidi and Han, Song and Lewis, Mike},
  title = {Efficient Streaming Language Models with Attention Sinks},
  year = {2024},
  booktitle = {The Twelfth International Conference on Learning Representations},
  url = {https://openreview.net/forum?id=NG7sS51zVF},
}
"""  # noqa: E501

DBLP = r"""
@article{DBLP:journals/corr/abs-2307-08691,
  author       = {Tri Dao},
  title        = {{FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning}},
  journal      = {CoRR},
  volume       = {abs/2307.08691},
  year         = {2023},
  url          = {https://doi.org/10.48550/arXiv.2307.08691},
  doi          = {10.48550/ARXIV.2307.08691},
  eprinttype   = {arXiv},
  timestamp    = {Tue, 18 Jul 2023 17:29:17 +0200},
  bibsource    = {dblp computer science bibliography, https://dblp.org}
}
"""  # noqa: E501
DBLP_TIDY = """@misc{dao2023flashattention2,
  author = {Dao, Tri},
  title = {{FlashAttention}-2: Faster Attention with Better Parallelism and Work Partitioning},
  year = {2023},
  eprint = {2307.08691},
  archivePrefix = {arXiv},
  url = {https://arxiv.org/abs/2307.08691},
}
"""  # noqa: E501

ACM = r"""
@inproceedings{10.1145/3600006.3613165,
author = {Kwon, Woosuk and Li, Zhuohan},
title = {Efficient Memory Management for Large Language Model Serving with PagedAttention},
year = {2023},
isbn = {9798400702297},
publisher = {Association for Computing Machinery},
url = {https://doi.org/10.1145/3600006.3613165},
doi = {10.1145/3600006.3613165},
abstract = {...},
booktitle = {Proceedings of the 29th Symposium on Operating Systems Principles},
keywords = {LLM, serving},
series = {SOSP '23}
}
"""  # noqa: E501
ACM_TIDY = """@inproceedings{kwon2023efficient,
  author = {Kwon, Woosuk and Li, Zhuohan},
  title = {Efficient Memory Management for Large Language Model Serving with {PagedAttention}},
  year = {2023},
  booktitle = {Proceedings of the 29th Symposium on Operating Systems Principles},
  doi = {10.1145/3600006.3613165},
}
"""  # noqa: E501

WEB = r"""
@online{muon,
  title = "Muon: An optimizer for hidden layers",
  author = "Keller Jordan and {OpenAI}",
  date = {2024-12-08},
  howpublished = {\url{http://kellerjordan.github.io/posts/muon\_a/}},
  organization = {Blog post},
}
"""
WEB_TIDY = """@misc{jordan2024muon,
  author = {Jordan, Keller and {OpenAI}},
  title = {Muon: An optimizer for hidden layers},
  year = {2024},
  howpublished = {Blog post},
  url = {https://kellerjordan.github.io/posts/muon_a/},
}
"""

PASTED = {
    "arXiv": (ARXIV, ARXIV_TIDY),
    "Scholar": (SCHOLAR, SCHOLAR_TIDY),
    "Anthology": (ANTHOLOGY, ANTHOLOGY_TIDY),
    "OpenReview": (OPENREVIEW, OPENREVIEW_TIDY),
    "DBLP": (DBLP, DBLP_TIDY),
    "ACM": (ACM, ACM_TIDY),
    "web": (WEB, WEB_TIDY),
}


@pytest.mark.parametrize(("pasted", "tidy"), PASTED.values(), ids=PASTED)
def test_what_sites_give_becomes_the_books_form(pasted, tidy):
    assert add(pasted, "")[0] == tidy
    assert add(tidy, "")[0] == tidy


@pytest.mark.parametrize(
    ("count", "kept", "end"), [(10, 10, "J"), (11, 10, "others")]
)
def test_ten_authors_are_named(count, kept, end):
    names = " and ".join(f"{letter}, A" for letter in "ABCDEFGHIJK"[:count])
    bib, _ = add(re.sub(r"(?<=author=\{)[^}]*", names, ARXIV), "")
    (work,) = parse(bib)[0].values()
    authors = [str(person) for person in work.persons["author"]]
    assert authors[:kept] == names.split(" and ")[:kept]
    assert authors[-1].startswith(end)


def test_odd_names_and_signs():
    names = "Dao, and Gu, Albert and et al."
    pasted = re.sub(r"(?<=author=\{)[^}]*", names, ARXIV)
    bib, _ = add(pasted.replace("title={", "title={Half ({50%}) "), "")
    assert "  author = {{Dao} and Gu, Albert and others},\n" in bib
    assert r"  title = {Half ({50\%}) Gated" in bib


def test_an_entry_goes_where_its_key_belongs_and_nothing_else_moves():
    pasted = "\n".join(pasted for pasted, _ in PASTED.values())
    bib, keys = add(pasted, REAL)
    assert faults(bib) == []
    assert len(keys) == len(PASTED)
    for _, tidy in PASTED.values():
        key = tidy.partition("{")[2].partition(",")[0]
        if key not in keys:  # the real file has it: the next word is taken
            key = next(new for new in keys if new.startswith(key[:8]))
        (entry,) = [w for w in parse(bib)[0].values() if w.key == key]
        start = bib.index(f"@{entry.type}{{{key},")
        end = bib.index("\n}\n", start) + 3
        assert bib[end : end + 1] in ("\n", "")
        bib = bib[:start] + bib[end:].removeprefix("\n")
    assert bib.rstrip() == REAL.rstrip()


def test_the_book_has_the_form_that_add_gives():
    for entry in re.findall(r"^@.*?^\}\n", REAL, re.S | re.M):
        tidy, _ = add(entry, "")
        assert tidy.partition(",")[2] == entry.partition(",")[2]


@pytest.fixture
def bib(tmp_path):
    path = tmp_path / "references.bib"
    path.write_text(REAL)
    return path


def run(capsys, *arguments, path):
    code = cite.main(arguments, path)
    out, err = capsys.readouterr()
    return code, out, err


def test_add_writes_the_file_and_says_what_to_paste(bib, capsys, monkeypatch):
    mode = bib.stat().st_mode
    monkeypatch.setattr("sys.stdin", io.StringIO(ACM))
    code, out, _ = run(capsys, "--add", "-", path=bib)
    assert code == 0
    assert out.startswith("Added to references.bib:\n\nKwon and Li, 2023\n")
    assert "{cite:p}`kwon2023efficient`  (Kwon and Li, 2023)" in out
    assert ACM_TIDY in bib.read_text()
    assert bib.stat().st_mode == mode
    assert list(bib.parent.iterdir()) == [bib]
    pasted = bib.with_name("pasted.bib")
    pasted.write_text("\ufeff" + OPENREVIEW)
    assert run(capsys, "--add", str(pasted), path=bib)[0] == 0
    assert OPENREVIEW_TIDY in bib.read_text()


GU = ARXIV.replace("2312.06635", "2312.00752v3")


@pytest.mark.parametrize(
    ("pasted", "message"),
    [
        (GU, "with the same eprint: cite gu2024mamba, references.bib:"),
        (
            OPENREVIEW.replace("Efficient Str", "{M}amba: Linear-{TIME} Str")
            .replace("Streaming Language", "Sequence")
            .replace("Models", "Modeling")
            .replace("Attention Sinks", "Selective State Spaces"),
            "with the same title: cite gu2024mamba, references.bib:",
        ),
        (ACM + ACM, "repeated bibliography entry"),
        (ACM + ACM.replace("10.1145/", "b", 1), "cite kwon2023efficient"),
        (OPENREVIEW.replace("url=", "see="), "needs eprint or doi or url"),
        (OPENREVIEW.replace("author=", "editor="), "needs author: add"),
        (
            OPENREVIEW.replace("title={E", "t={E"),
            "(without title): this",
        ),
        (OPENREVIEW.replace("{2024}", "{to appear}"), "has year to appear"),
        (OPENREVIEW.replace("booktitle", "series"), "needs booktitle or"),
        (
            OPENREVIEW.replace("={2024}", "={2024"),
            "This is no BibTeX: ",
        ),
        (OPENREVIEW.replace("={2024}", "=soon"), "undefined string"),
        ("Mamba by Gu and Dao", "There is no entry: BibTeX begins with @"),
        ("", "There is no entry"),
        (SCHOLAR.replace("12599", "125991"), "needs eprint or doi or url"),
    ],
)
def test_what_can_not_be_added_leaves_the_file(
    pasted, message, bib, capsys, monkeypatch
):
    before = bib.stat().st_mtime_ns, bib.stat().st_ino
    monkeypatch.setattr("sys.stdin", io.StringIO(pasted))
    code, out, err = run(capsys, "--add", "-", path=bib)
    assert (code, out) == (1, "")
    assert err.startswith("Nothing was added. ")
    assert message in err
    assert (bib.stat().st_mtime_ns, bib.stat().st_ino) == before
    assert list(bib.parent.iterdir()) == [bib]


def test_add_refuses_a_file_that_has_a_fault(bib, capsys, monkeypatch):
    broken = REAL.replace("gu2024mamba", "gu2024ssm")
    bib.write_text(broken)
    monkeypatch.setattr("sys.stdin", io.StringIO(ACM))
    code, _, err = run(capsys, "--add", "-", path=bib)
    assert code == 1
    assert "gu2024ssm should be gu2024mamba" in err
    assert "Mend that first" in err
    assert bib.read_text() == broken


def test_a_failed_write_leaves_the_file(bib, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        replace(bib, "new")
    assert bib.read_text() == REAL
    assert list(bib.parent.iterdir()) == [bib]


def test_a_missing_file_is_named(bib, capsys):
    code, _, err = run(capsys, "--add", "nowhere.bib", path=bib)
    assert code == 1
    assert "nowhere.bib" in err


@pytest.mark.parametrize(
    ("words", "first", "others"),
    [
        (["mamba"], "gu2024mamba", {"lahoti2026mamba3"}),
        (["RAVENTOS", "bayes"], "raventos2023pretraining", set()),
        (["in-context", "xie"], "xie2022explanation", set()),
        (["dao gu"], "dao2024transformers", {"gu2024mamba"}),
        (["von oswald 2023"], "vonoswald2023transformers", set()),
        (["zhao2021calibrate"], "zhao2021calibrate", set()),
    ],
)
def test_words_find_works_best_first(words, first, others, bib, capsys):
    code, out, _ = run(capsys, *words, path=bib)
    assert code == 0
    found = [line for line in out.splitlines() if "{cite:t}" in line]
    keys = [line.split("`")[1] for line in found]
    assert keys[0] == first
    assert others <= set(keys)


def test_what_is_found_can_be_pasted(bib, capsys):
    _, out, _ = run(capsys, "dao", "dual", path=bib)
    assert out == (
        "Dao and Gu, 2024\n"
        "  Transformers are SSMs: Generalized Models and Efficient Algorithms"
        " Through\n"
        "  Structured State Space Duality. International Conference on"
        " Machine Learning\n"
        "  (ICML), 2024. arXiv:2405.21060\n"
        "  {cite:t}`dao2024transformers`  Dao and Gu (2024)\n"
        "  {cite:p}`dao2024transformers`  (Dao and Gu, 2024)\n"
    )


def by_gu() -> int:
    """How many works have a word that begins so in authors or title."""
    entries = REAL.split("\n\n")
    return sum(
        bool(re.search(r"(?im)^  (author|title) = .*\bgu", e))
        for e in entries
    )


def test_nothing_found_says_which_word_and_what_is_near(bib, capsys):
    code, out, err = run(capsys, "mambo", "gu", path=bib)
    assert (code, out) == (1, "")
    assert "mambo: in none; near to it: mamba, " in err
    assert f"gu: in {by_gu()} of {REAL.count('@')}" in err
    assert "nox -s cite -- --add -" in err


def test_a_word_within_a_word_is_no_hit(bib, capsys):
    _, out, _ = run(capsys, "gu", path=bib)
    assert out.count("{cite:t}") == by_gu() < len(re.findall("(?i)gu", REAL))


@pytest.mark.parametrize("arguments", [[], ["gu", "--add", "-"]])
def test_it_is_said_how_to_ask(arguments, bib, capsys):
    with pytest.raises(SystemExit):
        cite.main(arguments, bib)
    assert "give words to find" in capsys.readouterr().err


def test_tidy_renames_everywhere_and_sorts(tmp_path, capsys):
    bib, page = tmp_path / "references.bib", tmp_path / "book" / "page.md"
    old = REAL.replace("gu2024mamba", "gu2024ssm").replace(
        "alman2023", "z2023"
    )
    bib.write_text(old)
    page.parent.mkdir()
    page.write_text("{cite:p}`gu2024ssm,z2023fast` and gu2024ssms\n")
    code, out, _ = run(capsys, "--tidy", path=bib)
    assert code == 0
    assert "gu2024ssm -> gu2024mamba\n" in out
    assert bib.read_text() == REAL
    assert page.read_text() == (
        "{cite:p}`gu2024mamba,alman2023fast` and gu2024ssms\n"
    )
    assert run(capsys, "--tidy", path=bib)[1] == "0 files changed\n"
