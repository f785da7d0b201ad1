"""Which measurements answer which question, and the answer in words, from numbers and tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gen_models.reporting.cells import Row, Table
from gen_models.reporting.estimates import Estimate, percentage
from gen_models.reporting.likeness import apart
from gen_models.reporting.outcomes import certainty, contests_of, distance, outcome
from gen_models.reporting.words import few, measured, together


@dataclass(frozen=True)
class Question:
    """What a reader asks, and what answers it.

    Attributes:
        prefixes: Of the names of the measurements that can answer, the strongest first.
    """

    subject: str
    words: str
    prefixes: tuple[str, ...]


QUESTIONS = (
    Question(
        "Fidelity",
        "Are samples like real ones?",
        ("fid_", "high_quality_", "precision_", "kid_"),
    ),
    Question(
        "Diversity",
        "Do samples cover all that is real?",
        ("modes_", "coverage_", "recall_"),
    ),
    Question(
        "Likelihood",
        "How probable is unseen data?",
        (
            "log_likelihood_exact_",
            "log_likelihood_ais",
            "log_likelihood_iw",
            "probe_bound_",
            "elbo_",
        ),
    ),
    Question(
        "Reconstruction",
        "How near does the decoder come to unseen data?",
        ("inversion_mse_", "probe_mse_", "reconstruction_mse_"),
    ),
)
"""A measurement that is not named here stands in the tables alone; another prefix adds it."""

TOLD = 2
"""So many measurements answer a question: the first with its numbers, the next in brief."""


@dataclass(frozen=True)
class Answer:
    """A question with its answer.

    Attributes:
        subject: What it is about, in a word.
        question: In plain words.
        sentence: The answer.
        evidence: The numbers behind it, a line each.
        sure: By what it is decided, and what that leaves open.
    """

    subject: str
    question: str
    sentence: str
    evidence: tuple[str, ...]
    sure: str


@dataclass(frozen=True)
class Instrument:
    """Measurements of one title.

    Attributes:
        rows: One for each extractor: those that the most models share.
        others: The rest of them, of another sample count for one.
    """

    rows: tuple[Row, ...]
    others: tuple[Row, ...]

    @property
    def title(self) -> str:
        """What is measured, without the extractor."""
        return self.rows[0].values[0].title

    @property
    def all(self) -> list[Row]:
        """Every row, those of one extractor together."""
        rows = (*self.rows, *self.others)
        heads = [row.head.text for row in rows]
        return sorted(rows, key=lambda row: heads.index(row.head.text))

    @property
    def sharing(self) -> int:
        """How many models are tested against each other."""
        return max(map(_sharing, self.rows))

    def apart(self, labels: Sequence[str]) -> dict[str, str]:
        """By label of the models whose numbers were measured otherwise: how they were."""
        first, told = self.rows[0], dict(self.rows[0].apart)
        for row in self.others:
            if row.values[0].extractor == first.values[0].extractor:
                how = apart(row.values[0], first.values[0])
                told |= {label: how for label in measured(labels, row) if label not in told}
        return {label: how for label, how in told.items() if label not in self.told(labels)}

    def told(self, labels: Sequence[str]) -> set[str]:
        """The models that have the number as most of them do."""
        first = self.rows[0]
        return measured(labels, first).keys() - first.apart.keys()


def answer(question: Question, labels: Sequence[str], table: Table) -> Answer | None:
    """Answer by the first of the question's measurements that the most models share.

    Args:
        question: One of `QUESTIONS`.
        labels: Of the models, in the order of the table's first cells.
        table: From `measurement_table`.

    Returns:
        None where nothing that answers was measured.
    """
    instruments = _instruments(question, labels, table)[:TOLD]
    if not instruments:
        return None
    tell = _compared if instruments[0].sharing else _uncompared
    return tell(question, labels, instruments)


def opened(text: str, labels: Sequence[str] = ()) -> str:
    """With a capital, but for a model's name.

    >>> opened("no winner"), opened("vae is ahead of gan", ["vae"])
    ('No winner', 'vae is ahead of gan')
    """
    return text if text.startswith(tuple(labels)) else text[:1].upper() + text[1:]


def _instruments(question: Question, labels: Sequence[str], table: Table) -> list[Instrument]:
    """Those of the question that the most models share, the strongest first."""
    found = []
    for prefix in question.prefixes:
        titles: dict[str, list[Row]] = {}
        for row in table.rows:
            if row.values[0].name.startswith(prefix) and _answers(row, labels):
                titles.setdefault(row.values[0].title, []).append(row)
        found += [max(map(_instrument, titles.values()), key=_widely)] if titles else []
    most = max(map(_widely, found), default=0)
    return [instrument for instrument in found if instrument.sharing == most]


def _answers(row: Row, labels: Sequence[str]) -> bool:
    first = row.values[0]
    return bool(measured(labels, row) and first.better and not first.restates)


def _sharing(row: Row) -> int:
    return len(row.contest.ranking) if row.contest else 0


def _widely(instrument: Instrument) -> int:
    return instrument.sharing


def _instrument(rows: Sequence[Row]) -> Instrument:
    most = max(map(_sharing, rows))
    found: dict[str | None, Row] = {}
    for row in rows:
        if _sharing(row) == most:
            found.setdefault(row.values[0].extractor, row)
    shown = tuple(found.values())
    return Instrument(shown, tuple(row for row in rows if row not in shown))


def _compared(question: Question, labels: Sequence[str], found: Sequence[Instrument]) -> Answer:
    first, *others = found
    contests = contests_of(first.rows)
    unlike = first.apart(labels)
    lacking = [label for label in labels if label not in (*contests[0].ranking, *unlike)]
    return Answer(
        question.subject,
        question.words,
        f"{opened(outcome(first.rows), labels)}.",
        (
            *(distance(row, measured(labels, row)) for row in first.rows),
            *(f"{other.title}: {outcome(other.rows, brief=True)}." for other in others),
            *([_otherwise(unlike)] if unlike else ()),
            *([f"Without this number: {together(lacking)}."] if lacking else ()),
        ),
        certainty(contests),
    )


def _uncompared(question: Question, labels: Sequence[str], found: Sequence[Instrument]) -> Answer:
    """Where a model alone has the number, or the models have numbers that must not be compared."""
    lines = [
        f"{row.head.text}: {f'{label} ' if labels[1:] else ''}{_position(row, estimate)}."
        for instrument in found
        for row in instrument.all
        for label, estimate in measured(labels, row).items()
        if row in instrument.rows or label in instrument.apart(labels)
    ]
    first, unlike = found[0].rows[0], found[0].apart(labels)
    sentence = f"{first.head.text} was measured for {next(iter(measured(labels, first)))} alone."
    if first.differing:
        sentence = f"Not compared: the runs differ in {together(first.differing)}."
    elif unlike:
        sentence = _otherwise(unlike)
    elif not labels[1:]:
        sentence, *lines = lines
    again = "; python -m gen_models.evaluate measures trained runs again, alike"
    sure = f"Nothing to compare{again if first.differing or unlike else ''}"
    return Answer(question.subject, question.words, sentence, tuple(lines), sure)


def _otherwise(unlike: Mapping[str, str]) -> str:
    told = [f"{label} ({how})" for label, how in unlike.items()]
    return f"Measured otherwise, so not compared: {few(told)}."


def _position(row: Row, estimate: Estimate) -> str:
    # Floor and ceiling, in words for who meets them here first.
    way_there = "of the way from real data to a trivial model"
    stands = "" if estimate.way is None else f", {percentage(estimate.way)} {way_there}"
    return f"{estimate} {row.values[0].unit}{stands}"
