"""A slider's states: one drawing each, on the same axes, three in a still."""

import gzip
import re
import subprocess
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from snippets import figures

SVG = "{http://www.w3.org/2000/svg}"


def curve(memory, *, height=2.3, top=1.05, name="weight"):
    fig, ax = figures.axes(height=height)
    lag = np.linspace(0, 10, 101)
    ax.plot(lag, np.exp(-lag / (1 + memory)), color=figures.METHOD)
    ax.scatter(lag[::9], np.exp(-lag[::9]), color=figures.HUMAN)
    ax.set(xlim=(0, 10), ylim=(0, top), xlabel="lag", ylabel=name)
    return fig


def square(layer):
    fig, ax = figures.axes(width=2.2, height=2.2)
    figures.heatmap(ax, np.eye(60, k=-layer), color=figures.ATTENTION)
    return fig


@pytest.fixture(scope="module")
def picture():
    states = {f"{n} <tokens>": curve(n) for n in range(9)}
    return figures.slider(states, "memory")


def groups(svg):
    root = ET.fromstring(svg)
    return root, [node for node in root if node.get("data-state")]


def shown(svg):
    """Where the still has which states, in points."""
    places = {}
    for state in groups(svg)[1]:
        if state.get("display") != "none":
            place = re.findall(r"[\d.]+", state.get("transform"))
            places[state.get("data-state")] = tuple(map(float, place))
    return places


def test_the_still_has_first_middle_and_last_on_one_sheet(picture):
    root, states = groups(picture.svg)
    assert [s.get("data-state")[0] for s in states] == list("012345678")
    places = shown(picture.svg)
    assert [name[0] for name in places] == list("048")
    _, _, width, height = map(float, root.get("viewBox").split())
    tops = [y for _, y in places.values()]
    assert np.diff(tops) == pytest.approx([190.8, 190.8])  # 2.3 + 0.35 in
    assert height == pytest.approx(tops[-1] + 2.3 * 72)
    assert width == 432
    texts = [t.text for t in root.iter(f"{SVG}text")]
    for value in range(9):
        heading = f"memory: {value} <tokens>"
        assert (heading in texts) == (value in (0, 4, 8))


def test_small_states_stand_side_by_side():
    picture = figures.slider({n: square(n) for n in range(-1, 3)}, "layer")
    places = shown(picture.svg)
    assert list(places) == ["−1", "1", "2"]
    assert [x for x, _ in places.values()] == pytest.approx([0, 158.4, 316.8])
    assert len({y for _, y in places.values()}) == 1
    assert picture.width == pytest.approx(6.6)


def test_paper_gets_the_same_still(picture, tmp_path):
    file = tmp_path / "still.pdf"
    file.write_bytes(picture.pdf)
    command = ["pdftotext", "-bbox", str(file), "-"]
    page = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout
    words = re.findall(r'yMin="([\d.]+)" .*>(.*)</word>', page)
    headings = [float(y) for y, word in words if word == "memory:"]
    values = [word for _, word in words if re.fullmatch(r"\d", word)]
    assert np.diff(headings) == pytest.approx([190.8, 190.8], abs=0.1)
    assert "1" not in values
    assert {"0", "4", "8"} <= set(values)
    assert page.count("<page ") == 1
    [size] = re.findall(r'<page width="([\d.]+)" height="([\d.]+)"', page)
    assert tuple(map(float, size)) == pytest.approx((432, 572.4))
    for waste in b"Date", b"Matplotlib", b"/Type3":
        assert waste not in picture.pdf


def test_only_what_is_shown_moves():
    """A longer label would push the axes of its own state aside."""
    fig = curve(1)
    figures.label(fig.axes[0], 10, 0.5, "a label that takes room")
    states = {0: curve(0), 1: fig, 2: curve(2)}
    figures.slider(states, "memory")
    frames = {str(s.axes[0].get_window_extent()) for s in states.values()}
    assert len(frames) == 1
    label = fig.axes[0].texts[0].get_window_extent()
    assert label.x1 <= 432


def test_states_share_what_they_have_in_common(picture):
    one = len(gzip.compress(figures.show(curve(3)).svg.encode()))
    nine = len(gzip.compress(picture.svg.encode()))
    assert nine < 5 * one
    ids = re.findall(r'\bid="([^"]+)"', picture.svg)
    used = re.findall(r'(?:url\(|href=")#([^)"]+)', picture.svg)
    assert len(ids) == len(set(ids))
    assert set(used) == set(ids)


def test_diagrams_may_be_states():
    diagrams = {}
    for token in "abc":
        diagrams[token] = figures.Diagram(2, 1)
        diagrams[token].box(1, 0.5, token)
    texts = groups(figures.slider(diagrams, "token").svg)[0].iter()
    assert {"a", "b", "c", "token: b"} <= {node.text for node in texts}


def test_the_same_states_give_the_same_bytes(picture):
    states = {f"{n} <tokens>": curve(n) for n in range(9)}
    assert figures.slider(states, "memory") == picture


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({0: curve(0), 1: curve(1)}, "needs 3 states, got 2"),
        (
            {0: curve(0), 1: curve(1, height=2), 2: curve(2)},
            r"one size .* 0 has size \[6\.0, 2\.3\].* 1 has .* 2\.0\]",
        ),
        (
            {0: curve(0), 1: curve(1), "x": curve(2, top=2)},
            r"the same limits.* 1\.05\]\], 'x' has .* 2\.0\]\]",
        ),
        ({0: curve(0), 1: curve(1), 2: figures.axes(1, 2)[0]}, "same limits"),
        (
            {n: curve(n, height=3) for n in range(3)},
            "at most 2.5 inches high",
        ),
    ],
)
def test_states_that_do_not_go_together_are_refused(states, message):
    with pytest.raises(ValueError, match=message):
        figures.slider(states, "memory")


def test_a_value_too_long_for_its_heading_is_refused():
    states = {n: square(n) for n in (0, 1, 2)}
    with pytest.raises(ValueError, match="the whole layer: 0' is wider"):
        figures.slider(states, "number of the whole layer")


def test_labels_that_cover_each_other_are_refused_in_any_state():
    states = {n: curve(n) for n in range(4)}
    for y in 0.5, 0.51:
        figures.label(states[1].axes[0], 5, y, f"at {y}")
    with pytest.raises(ValueError, match="cover each other"):
        figures.slider(states, "memory")
