"""What readers need of figures: contrast, one look, the same drawing."""

import base64
import itertools
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from snippets import figures

GROUPS = [
    ("QUERY", "KEY", "VALUE"),
    ("ATTENTION", "RECURRENCE", "DIFFUSION"),
    ("METHOD", "BASELINE", "CHANCE"),
    ("HUMAN", "AI"),
    ("POSITIVE", "NEGATIVE"),
]
MEANINGS = [*itertools.chain(*GROUPS), "INK", "MUTED"]
LIGHT, DARK = "#ffffff", "#121212"  # the theme's page, by day and by night
PAGE_TEXT = {"light": "#222832", "dark": "#ced6dd"}  # the theme's
SVG = "{http://www.w3.org/2000/svg}"


def linear(color):
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    low = rgb <= 0.04045
    return np.where(low, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    """WCAG 2's contrast ratio of two colors."""
    weights = [0.2126, 0.7152, 0.0722]
    dark, light = sorted(linear(color) @ weights for color in (a, b))
    return (light + 0.05) / (dark + 0.05)


def pair(name):
    light = getattr(figures, name)
    dark = figures.DARK[light]
    return light, PAGE_TEXT["dark"] if dark == "currentColor" else dark


def over(color, ground, alpha):
    """The color laid over the ground with this opacity, as a browser does."""
    a, b = (
        np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)])
        for c in (color, ground)
    )
    mixed = np.round(alpha * a + (1 - alpha) * b).astype(int)
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


@pytest.mark.parametrize("name", MEANINGS)
def test_colors_may_color_text_on_light_and_dark_ground(name):
    light, dark = pair(name)
    assert contrast(light, LIGHT) >= 4.5
    assert contrast(dark, DARK) >= 4.5
    assert contrast(light, "#f3f4f5") >= 4.5  # the theme's boxes
    assert contrast(dark, "#29313d") >= 4.0


@pytest.mark.parametrize("name", MEANINGS)
def test_numbers_stay_legible_on_the_fullest_cell(name):
    light, dark = pair(name)
    cell = over(light, LIGHT, figures.WRITABLE)
    assert contrast(PAGE_TEXT["light"], cell) >= 4.5
    cell = over(dark, DARK, figures.WRITABLE)
    assert contrast(PAGE_TEXT["dark"], cell) >= 4.5


# What lacks one kind of cone sees, in linear RGB (Machado et al., 2009).
EYES = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "all": np.eye(3),
}


def oklab(rgb):
    """Perceived color of linear RGB; a distance of 0.02 can just be seen."""
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return to_lab @ np.cbrt(to_cones @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0])
@pytest.mark.parametrize("eye", EYES)
def test_what_stands_side_by_side_differs_to_every_eye(group, eye):
    for a, b in itertools.combinations(group, 2):
        for one, other in zip(pair(a), pair(b), strict=True):
            seen = [oklab(EYES[eye] @ linear(c)) for c in (one, other)]
            assert np.linalg.norm(seen[0] - seen[1]) > 0.04, (a, b)


@pytest.mark.parametrize("group", GROUPS[:-1], ids=lambda group: group[0])
def test_lines_differ_in_grey(group):
    dashes = [
        str(figures.DASHES.get(getattr(figures, name))) for name in group
    ]
    assert len(set(dashes)) == len(group)


def drawn():
    """A figure with every kind of text and two heat maps, one a raster."""
    fig, (one, two, three) = figures.axes(1, 3, width=9)
    one.plot([1, 2e5], [3, 4], color=figures.METHOD, label="a legend")
    one.scatter([10], [3.5], color=figures.HUMAN)
    one.errorbar([10], [3.5], [0.1], color=figures.MUTED)
    one.set(xlabel=r"$\lambda$ of tokens", title="Title", xscale="log")
    one.legend()
    one.text(2, 3.2, "words")
    figures.label(one, 2e5, 4, "method", color=figures.METHOD)
    signed = [[1, -0.5], [0, np.nan]]
    figures.heatmap(two, signed, values=".1f", columns=["one", "two"])
    figures.heatmap(three, np.eye(60) - np.eye(60, k=1), scale="weight")
    return fig


@pytest.fixture(scope="module")
def picture():
    return figures.show(drawn())


def styles(svg):
    return [node.get("style", "") for node in ET.fromstring(svg).iter()]


def test_every_color_follows_the_page(picture):
    for style in styles(picture.svg):
        for kind in "fill", "stroke", "flood-color":
            paints = re.findall(rf"(?:^|; )?\b{kind}: ([^;]+)", style)
            if paints and paints not in (["none"], ["currentColor"]):
                fixed, both = paints
                assert both == f"light-dark({fixed}, {figures.DARK[fixed]})"


def test_a_color_without_meaning_is_refused():
    fig, ax = figures.axes()
    ax.plot([0, 1], color="tab:blue")
    with pytest.raises(ValueError, match=r"#1f77b4 .* figures\.METHOD"):
        figures.show(fig)


def test_no_text_is_smaller_than_the_pages(picture):
    sizes = re.findall(r"font-size: ([\d.]+)px", picture.svg)
    assert len(sizes) > 15
    assert min(map(float, sizes)) >= figures.TEXT == 12


def test_text_is_text_and_math_is_outlines(picture):
    texts = [t.text for t in ET.fromstring(picture.svg).iter(f"{SVG}text")]
    assert {"Title", "method", "words", "one", "−0.5"} <= set(texts)
    assert "<tspan" not in picture.svg  # how matplotlib writes math
    assert "font-family: " not in picture.svg  # the page's font, then


def test_logarithmic_axes_speak_text(picture):
    texts = [t.text for t in ET.fromstring(picture.svg).iter(f"{SVG}text")]
    assert {"10²", "10⁴"} <= set(texts)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (1, 1000, {"1", "10", "100", "1,000"}),
        (1, 1e6, {"1", "10³", "10⁶"}),
        (1e-5, 1, {"10⁻⁵", "10⁻³", "1"}),
    ],
)
def test_powers_of_ten_where_numbers_get_long(low, high, words):
    fig, ax = figures.axes(height=5)
    ax.plot([0, 1], [low, high])
    ax.set(yscale="log", ylim=(low, high))
    ax.set_yticks([low * 10.0**i for i in range(9) if low * 10**i <= high])
    svg = ET.fromstring(figures.show(fig).svg)
    assert words <= {t.text for t in svg.iter(f"{SVG}text")}


def test_nothing_of_a_figure_lies_outside_of_it():
    fig, ax = figures.axes()
    ax.plot([0, 1], [0, 1])
    figures.label(ax, 1, 1, "a long label at the end of the line")
    figures.show(fig)
    label = ax.texts[0].get_window_extent()
    assert 0 <= label.x0 < label.x1 <= 72 * figures.WIDTH


def test_a_meaning_brings_its_dashes_unless_told():
    _, ax = figures.axes()
    (dashed,) = ax.plot([0, 1], color=figures.BASELINE)
    (told,) = ax.plot([0, 1], color=figures.BASELINE, linestyle="-")
    (points,) = ax.plot([0, 1], "o", color=figures.BASELINE)
    assert dashed.is_dashed()
    assert not told.is_dashed()
    assert points.get_linestyle() == "None"


def test_small_matrices_are_vector_and_large_ones_tinted_rasters():
    fig, ax = figures.axes()
    figures.heatmap(ax, np.eye(8))
    assert "<image" not in figures.show(fig).svg
    fig, ax = figures.axes()
    figures.heatmap(ax, np.eye(200), color=figures.ATTENTION)
    root = ET.fromstring(figures.show(fig).svg)
    (image,) = root.iter(f"{SVG}image")
    (tint,) = root.iter(f"{SVG}filter")
    assert image.get("filter") == f"url(#{tint.get('id')})"
    assert figures.DARK[figures.ATTENTION] in tint[0].get("style")


def test_heat_is_in_proportion_and_zero_is_the_page():
    above, below = figures.tints([[1, 0.25], [0, -2]], figures.AI, 2, 1.0)
    np.testing.assert_allclose(above[..., 3], [[0.5, 0.125], [0, 0]])
    np.testing.assert_allclose(below[..., 3], [[0, 0], [0, 1]])
    full, _ = figures.tints([[3.0]], figures.AI, 2, 0.5)
    assert full[..., 3] == 0.5


def test_what_is_not_finite_stays_empty():
    _, ax = figures.axes()
    figures.heatmap(ax, [[1.0, -np.inf], [np.nan, 0.5]])
    squares = [len(part.get_facecolors()) for part in ax.collections]
    assert squares == [2, 0]


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        ([1, 2], [], r"expected a matrix, got shape \(2,\)"),
        ([[np.nan]], [], "expected a matrix"),
        ([[1, 2]], ["one"], "1 names for 2"),
    ],
)
def test_bad_matrices_are_refused(matrix, names, message):
    _, ax = figures.axes()
    with pytest.raises(ValueError, match=message):
        figures.heatmap(ax, matrix, columns=names)


def test_labels_know_four_sides():
    _, ax = figures.axes()
    with pytest.raises(ValueError, match="right, left, above, below"):
        figures.label(ax, 0, 0, "text", side="top")


def test_labels_that_cover_each_other_are_refused():
    fig, ax = figures.axes()
    ax.plot([0, 1], [0, 1])
    figures.label(ax, 1, 0.9, "one")
    figures.label(ax, 1, 0.5, "two")
    figures.show(fig)
    figures.label(ax, 1, 0.89, "three")
    with pytest.raises(ValueError, match="'one' and 'three' cover each"):
        figures.show(fig)


def test_arrows_start_and_end_at_the_boxes():
    diagram = figures.Diagram(6, 2)
    a = diagram.box(1, 1, "a")
    b = diagram.box(5, 1, "two\nlines")
    diagram.arrow(a, b, "words")
    assert a.border(b.x, b.y) == pytest.approx((1 + a.width / 2, 1))
    assert b.border(a.x, a.y) == pytest.approx((5 - b.width / 2, 1))
    assert a.border(1, 9) == pytest.approx((1, 1 + a.height / 2))
    assert b.height > a.height
    texts = ET.fromstring(figures.show(diagram).svg).iter(f"{SVG}text")
    assert [t.text for t in texts] == ["a", "two", "lines", "words"]


def test_boxes_hold_their_text():
    diagram = figures.Diagram()
    box = diagram.box(3, 1.5, "a rather long line\nshort")
    figures.show(diagram)
    text = diagram.ax.texts[0].get_window_extent()
    assert 72 * (box.x - box.width / 2) < text.x0
    assert text.x1 < 72 * (box.x + box.width / 2)


def test_each_output_gets_its_format(picture):
    data, metadata = picture._repr_mimebundle_()
    assert data["image/svg+xml"].startswith("<svg")
    assert base64.b64decode(data["application/pdf"]).startswith(b"%PDF")
    assert data["text/plain"] == "Picture"
    assert metadata["application/pdf"]["width"] == "7.500in"  # 9 * 10 / 12


def test_pdf_embeds_its_fonts_and_keeps_no_date(picture):
    assert b"/CIDFontType2" in picture.pdf
    assert b"/Type3" not in picture.pdf
    assert b"Date" not in picture.pdf
    assert b"Matplotlib" not in picture.pdf


def test_svg_carries_only_what_is_read(picture):
    for waste in "metadata", "<style", "<!--", "<?xml", "DOCTYPE":
        assert waste not in picture.svg
    ids = re.findall(r'\bid="([^"]+)"', picture.svg)
    assert len(ids) == len(set(ids))
    used = re.findall(r'(?:url\(|href=")#([^)"]+)', picture.svg)
    assert set(used) == set(ids)


def test_two_processes_draw_the_same_bytes():
    code = (
        "import hashlib, runpy; "
        f"m = runpy.run_path({__file__!r}); "
        "p = m['figures'].show(m['drawn']()); "
        "print(hashlib.sha256(p.svg.encode() + p.pdf).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "12"
    }
    assert len(digests) == 1
