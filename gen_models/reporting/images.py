"""Pictures and curves of runs, ready to be put into a page."""

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gen_models.records import Curve, Picture, Record
from gen_models.reporting.estimates import number
from gen_models.reporting.figures import Line, curves_figure, data_uri
from gen_models.reporting.groups import Group
from gen_models.reporting.runs import Run

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Above this width in pixels a picture is shown near its size, where hard pixel edges only alias.
SHARP_BELOW = 480
ORDER = ("samples", "reconstructions", "inversions", "interpolation")


@dataclass(frozen=True)
class Shown:
    """A picture as an inlined image, or the problem that stands in its place."""

    name: str
    label: str
    caption: str
    alt: str
    link: str
    uri: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""

    @property
    def long(self) -> bool:
        """Whether it is a strip, which wants the width of two."""
        return self.width > 2 * self.height

    @property
    def sharp(self) -> bool:
        """Whether pixel edges are kept when the page enlarges it."""
        return self.width < SHARP_BELOW


@dataclass(frozen=True)
class Gallery:
    """One kind of picture: a first one for each model, and the rest."""

    title: str
    first: tuple[Shown, ...]
    rest: tuple[Shown, ...]


@dataclass(frozen=True)
class Plot:
    """A figure in both colour schemes."""

    title: str
    alt: str
    light: str
    dark: str


def place(path: Path, folder: Path) -> str:
    """Where `path` lies, seen from `folder`, with slashes on every system."""
    return Path(os.path.relpath(path, folder)).as_posix()


def relative(path: Path, folder: Path) -> str:
    """An address of `path` for a page in `folder`, with nothing in it that a browser would act on.

    >>> relative(Path("sweep/model=vae/a.png"), Path("sweep"))
    'model%3Dvae/a.png'
    """
    return quote(place(path, folder))


def show(run: Run, picture: Picture, page: Path, label: str) -> Shown:
    """Inline a picture of a run.

    Args:
        run: Whose picture it is.
        picture: One of the record's.
        page: The folder of the page, for the link.
        label: Whose it is, in words.
    """
    path = run.folder / picture.file
    alt = f"{picture.title} of {label}"
    if picture.caption:
        alt = f"{alt}: {picture.caption}"
    plain = Shown(picture.name, label, picture.caption, alt, relative(path, page))
    try:
        png = path.read_bytes()
    except OSError:
        return _problem(plain, f"{picture.title} of {label}: the file {picture.file} is missing")
    if not png.startswith(SIGNATURE) or len(png) < 24:
        return _problem(plain, f"{picture.title} of {label}: {picture.file} is not a PNG")
    # The first chunk of every PNG holds its width and height, 16 bytes in.
    width, height = struct.unpack(">II", png[16:24])
    return Shown(**{**vars(plain), "uri": data_uri(png), "width": width, "height": height})


def _problem(shown: Shown, problem: str) -> Shown:
    return Shown(**{**vars(shown), "problem": problem})


def run_gallery(run: Run, page: Path) -> list[Gallery]:
    """All pictures of one run, one gallery each."""
    label = f"{run.record.model}, seed {run.record.seed}"
    return [
        Gallery(picture.title, (show(run, picture, page, label),), ())
        for picture in sorted(run.record.pictures, key=lambda picture: _rank(picture.name))
    ]


def galleries(groups: Sequence[Group], page: Path) -> list[Gallery]:
    """Pictures of the same name side by side: each model's first seed, then the others."""
    titles: dict[str, str] = {}
    by_name: dict[str, list[list[Shown]]] = {}
    for group in groups:
        mine: dict[str, list[Shown]] = {}
        for run in (*group.finished, *group.unfinished):
            for picture in run.record.pictures:
                titles.setdefault(picture.name, picture.title)
                shown = show(run, picture, page, _whose(group, run.record))
                mine.setdefault(picture.name, []).append(shown)
        for name, pictures in mine.items():
            by_name.setdefault(name, []).append(pictures)
    return [
        Gallery(
            titles[name],
            tuple(pictures[0] for pictures in by_name[name]),
            tuple(shown for pictures in by_name[name] for shown in pictures[1:]),
        )
        for name in sorted(titles, key=_rank)
    ]


def _whose(group: Group, record: Record) -> str:
    ended = "" if record.status == "finished" else f" ({record.status})"
    return f"{group.label}, seed {record.seed}{ended}"


def _rank(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def run_plots(record: Record) -> list[Plot]:
    """The curves of one run: `train/loss` and `validation/loss` share the figure "loss"."""
    by_quantity: dict[str, list[Line]] = {}
    for curve in record.curves:
        part, _, quantity = curve.name.rpartition("/")
        by_quantity.setdefault(quantity, []).append(Line(part or record.model, (curve,)))
    return _plots(by_quantity)


def plots(groups: Sequence[Group]) -> tuple[list[Plot], list[Plot]]:
    """The finished runs' curves by name, one line per model.

    Returns:
        Figures that several models share, and figures of one model alone.
    """
    by_name: dict[str, list[Line]] = {}
    for group in groups:
        mine: dict[str, list[Curve]] = {}
        for record in group.records:
            for curve in record.curves:
                mine.setdefault(curve.name, []).append(curve)
        for name, curves in mine.items():
            by_name.setdefault(name, []).append(Line(group.label, tuple(curves)))
    shared = {name: lines for name, lines in by_name.items() if len(lines) > 1}
    alone = {name: lines for name, lines in by_name.items() if name not in shared}
    return _plots(shared), _plots(alone)


def _plots(by_name: Mapping[str, Sequence[Line]]) -> list[Plot]:
    return [
        Plot(name, _alt(name, lines), *(_uri(name, lines, s) for s in ("light", "dark")))
        for name, lines in by_name.items()
    ]


def _uri(name: str, lines: Sequence[Line], scheme: str) -> str:
    return data_uri(curves_figure(name, lines, scheme))


def _alt(name: str, lines: Sequence[Line]) -> str:
    ends = "; ".join(f"{line.label} {_ends(line.seeds)}" for line in lines)
    return f"{name} over images seen. First and last value of the first seed: {ends}."


def _ends(seeds: Iterable[Curve]) -> str:
    values = [value for value in next(iter(seeds)).values if value is not None]
    return f"{number(values[0])} to {number(values[-1])}" if values else "has no finite value"
