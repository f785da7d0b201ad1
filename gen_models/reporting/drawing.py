"""What figures share: looks, axes, legend, and an SVG for pages of either colour scheme."""

import base64
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Okabe and Ito's palette: its darker colours first on white, where yellow is too faint, and its
# lighter ones first on black.
COLOURS = {
    "light": ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f"),
    "dark": ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#7f7f7f"),
}
# Four dashes and marks against seven colours: 28 before two look the same, and print keeps them
# apart.
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D")
INKS = {"light": "#1a1d21", "dark": "#e6e6e6"}
WIDTH = 400
"""Of a figure, in 1/72 inch; letters are `SIZE` high, to be read at 340 to 600 pixels a figure."""
HEIGHT = 240
"""Of a figure without its legend, in the same units."""
SIZE = 10
"""Of letters, in the same units."""
LEAN = {
    r"(\d\d\.\d|\b\d\.\d\d)\d+": r"\1",
    r"font-size: 10px; font-family: [^;\"]*; ": "",
    r" transform=\"rotate\(-0 [^\"]*\"": "",
    r"; stroke-linecap: [a-z]*": "",
    r"^<g id=\"[^\"]*\" ?(/?)": r"<g\1",
    r"^<g/>": "",
    r"(?<=[:;]) ": "",
    r"(?<=\d) L (?=[\d-])": " ",
}
"""What a tag of matplotlib's may lose, and what is put in its place."""


@dataclass(frozen=True)
class Style:
    """How one model looks in every figure: the colour on white, the dash of lines, the mark."""

    colour: str
    dash: str
    mark: str


def styles(labels: Sequence[str]) -> dict[str, Style]:
    """A style for each label, by its place among all: figures that show a part agree.

    >>> styles(["vae", "gan"])["gan"]
    Style(colour='#d55e00', dash='--', mark='s')
    """
    colours = COLOURS["light"]
    return {
        label: Style(colours[i % len(colours)], DASHES[i % len(DASHES)], MARKS[i % len(MARKS)])
        for i, label in enumerate(dict.fromkeys(labels))
    }


def blank() -> "tuple[Figure, Axes]":
    """An empty figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), layout="constrained")
    axes = figure.add_subplot()
    ink = INKS["light"]
    axes.tick_params(colors=ink, labelsize=SIZE, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)
    axes.grid(alpha=0.2, color=ink)
    return figure, axes


def label(axes: "Axes", x: str, y: str) -> None:
    """Name both axes; lines break where the axis ends."""
    for axis, text, width in ((axes.xaxis, x, 54), (axes.yaxis, y, 33)):
        axis.set_label_text(
            wrapped(text, width), parse_math=False, fontsize=SIZE, color=INKS["light"]
        )


def wrapped(text: str, width: int) -> str:
    r"""Lines of at most `width` letters; what cannot be shown, and would break an SVG, is replaced.

    >>> wrapped("one two\x1b", 5)
    'one\ntwo�'
    """
    lines = [
        "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
        for line in text.split("\n")
    ]
    return "\n".join(fill(line, width) for line in lines)


def legend(figure: "Figure", handles: "Sequence[Line2D]") -> None:
    """Name the handles by their labels below the axes; the figure grows by as much."""
    texts = [wrapped(str(handle.get_label()), 50) for handle in handles]
    widest = max(len(line) for text in texts for line in text.splitlines())
    columns = max(1, min(len(texts), int(WIDTH / (5.5 * widest + 50))))
    rows = [texts[start : start + columns] for start in range(0, len(texts), columns)]
    lines = sum(max(text.count("\n") + 1 for text in row) for row in rows)
    figure.set_size_inches(WIDTH / 72, (HEIGHT + 14.5 * lines) / 72)
    shown = figure.legend(
        handles,
        texts,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=SIZE,
        labelcolor=INKS["light"],
        handlelength=3,
        columnspacing=1.2,
    )
    # Labels are of strangers: a dollar in them is no formula.
    for text in shown.get_texts():
        text.set_parse_math(False)


def svg(figure: "Figure") -> bytes:
    """The figure for a page: colours follow the reader's scheme, letters are the reader's own."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    # The salt keeps names of parts, and so the file, the same from call to call.
    salted = rc_context({"svg.fonttype": "none", "svg.hashsalt": "gen_models"})
    with salted, warnings.catch_warnings():
        # A letter that matplotlib's font lacks is drawn by the browser's.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format="svg", transparent=True)
    whole = buffer.getvalue()
    whole = re.sub(r"<metadata>.*?</metadata>", "", whole[whole.index("<svg") :], flags=re.DOTALL)
    whole = re.sub(r">\s+<", "><", re.sub(r"<[^>]*>", _lean, whole))
    return whole.replace(">", f"><style>{_schemes()}</style>", 1).encode()


def _lean(tag: re.Match[str]) -> str:
    """A tag without what the eye does not see, its colours by their names in `_schemes`."""
    text = " ".join(tag.group().split())
    for pattern, shorter in LEAN.items():
        text = re.sub(pattern, shorter, text)
    for name, (colour, _) in _named().items():
        text = text.replace(colour, f"var(--{name})")
    return text


def _named() -> dict[str, tuple[str, str]]:
    pairs = zip(COLOURS["light"], COLOURS["dark"], strict=True)
    return {"ink": (INKS["light"], INKS["dark"]), **{f"c{i}": pair for i, pair in enumerate(pairs)}}


def _schemes() -> str:
    light, dark = (
        "".join(f"--{name}:{pair[side]};" for name, pair in _named().items()) for side in (0, 1)
    )
    dark = f"@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return f"text{{font:{SIZE}px sans-serif}}:root{{{light}}}{dark}"


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """A file as an address that needs no network.

    >>> data_uri(b"PNG")
    'data:image/png;base64,UE5H'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
