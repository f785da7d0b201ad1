"""Pictures of runs, ready to be put into a page."""

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from gen_models.records import Picture, Record
from gen_models.reporting.drawing import data_uri
from gen_models.reporting.groups import Group
from gen_models.reporting.runs import Run, legible

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"IEND\xaeB`\x82"
"""The last bytes of every whole PNG."""
# Above this width in pixels a picture is shown near its size, where hard pixel edges only alias.
SHARP_BELOW = 480
ORDER = ("samples", "reconstructions", "inversions", "extremes", "neighbours", "interpolation")
MANY = 4
"""So many pictures that are missing are told of in one sentence."""

ROOM = 3_000_000
"""Characters of pictures that a page holds, shared by its sections as they have models.

Of a page below 5 MB that leaves 2 for curves, tables and words. A model on MNIST takes 0.12 million
(samples 0.04, interpolation 0.04, reconstructions, extremes and neighbours 0.04 in all), so that
ten models with the samples of two more seeds take 1.9.
"""


@dataclass(frozen=True)
class Shown:
    """A picture as an inlined image; or a link alone, or the problem that stands in its place."""

    name: str
    label: str
    caption: str
    alt: str
    link: str
    uri: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    rows: tuple[str, ...] = ()

    @property
    def linked(self) -> bool:
        """Whether the page holds a link to it alone."""
        return not (self.uri or self.problem)

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
    """One kind of picture.

    Attributes:
        title: Of the kind.
        first: One for each model.
        rest: Of its other seeds.
        lacking: A sentence on those that there are not, where these are many.
    """

    title: str
    first: tuple[Shown, ...]
    rest: tuple[Shown, ...]
    lacking: str = ""

    @property
    def caption(self) -> str:
        """The caption that all have in common, to be said once; empty where they differ."""
        captions = {shown.caption for shown in (*self.first, *self.rest) if not shown.problem}
        return captions.pop() if len(captions) == 1 else ""


def place(path: Path, folder: Path) -> str:
    """Where `path` lies, seen from `folder`, with slashes on every system, to be read."""
    return legible(_seen(path, folder))


def relative(path: Path, folder: Path) -> str:
    """An address of `path` for a page in `folder`, with nothing in it that a browser would act on.

    >>> relative(Path("sweep/model=vae/a.png"), Path("sweep"))
    'model%3Dvae/a.png'
    """
    return quote(os.fsencode(_seen(path, folder)))


def _seen(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


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
    if picture.rows:
        alt = f"{alt} Rows from the top: {'; '.join(picture.rows)}."
    link = relative(path, page)
    plain = Shown(picture.name, label, picture.caption, alt, link, rows=picture.rows)
    return inline(plain, path, f"{picture.title} of {label}", picture.file)


def inline(plain: Shown, path: Path, what: str, file: str) -> Shown:
    """Put the PNG at `path` into a picture, or the problem: `what` it is, and the `file`'s name."""
    try:
        png = path.read_bytes()
    except OSError:
        return _problem(plain, f"{what}: the file {file} is missing")
    if not png.startswith(SIGNATURE) or len(png) < 24:
        return _problem(plain, f"{what}: {file} is not a PNG")
    if END not in png:
        return _problem(plain, f"{what}: {file} is cut short")
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


def galleries(groups: Sequence[Group], page: Path, room: int = ROOM) -> list[Gallery]:
    """Pictures of the same name side by side: each model's first seed, then the others.

    Args:
        groups: The models.
        page: The folder of the page, for links.
        room: Characters of pictures that may be inlined; see `inlined`.
    """
    titles: dict[str, str] = {}
    by_name: dict[str, list[list[Shown]]] = {}
    for group in groups:
        mine: dict[str, list[Shown]] = {}
        for run in group.runs:
            for picture in run.record.pictures:
                titles.setdefault(picture.name, picture.title)
                shown = show(run, picture, page, _whose(group, run.record))
                mine.setdefault(picture.name, []).append(shown)
        for name, pictures in mine.items():
            by_name.setdefault(name, []).append(pictures)
    made = [
        Gallery(
            titles[name],
            tuple(pictures[0] for pictures in by_name[name]),
            tuple(shown for pictures in by_name[name] for shown in pictures[1:]),
        )
        for name in sorted(titles, key=_rank)
    ]
    return inlined(list(map(gathered, made)), room)


def gathered(gallery: Gallery) -> Gallery:
    """The gallery with one sentence in place of many problems: a search keeps no pictures."""
    pictures = (*gallery.first, *gallery.rest)
    problems = [shown.problem for shown in pictures if shown.problem]
    if len(problems) < MANY:
        return gallery
    told = f"{len(problems)} of {len(pictures)} are not shown. {problems[0]}, for one."
    first, rest = (
        tuple(shown for shown in shelf if not shown.problem)
        for shelf in (gallery.first, gallery.rest)
    )
    return replace(gallery, first=first, rest=rest, lacking=told)


def inlined(galleries: Sequence[Gallery], room: int = ROOM) -> list[Gallery]:
    """The galleries with what there is room for; every other picture is a link to its file.

    First come the pictures of each model's first seed, gallery by gallery, then the samples of
    other seeds; other pictures of these are linked however much room is left.
    """
    first = [shown for gallery in galleries for shown in gallery.first]
    rest = [shown for gallery in galleries for shown in gallery.rest if shown.name == "samples"]
    kept = set()
    for shown in (*first, *rest):
        if len(shown.uri) <= room:
            kept.add(shown)
            room -= len(shown.uri)

    def fitted(pictures: tuple[Shown, ...]) -> tuple[Shown, ...]:
        return tuple(one if one in kept else replace(one, uri="") for one in pictures)

    return [replace(g, first=fitted(g.first), rest=fitted(g.rest)) for g in galleries]


def _whose(group: Group, record: Record) -> str:
    ended = "" if record.status == "finished" else f" ({record.status})"
    return f"{group.label}, seed {record.seed}{ended}"


def _rank(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
