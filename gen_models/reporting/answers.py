"""Which measurements answer which question, and the answer in words, from numbers and tests."""

from collections.abc import Sequence
from dataclasses import dataclass

from gen_models.reporting.cells import Row, Table
from gen_models.reporting.estimates import Estimate
from gen_models.reporting.outcomes import certainty, contests_of, distance, outcome
from gen_models.reporting.summaries import way
from gen_models.reporting.words import measured, together


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
    tell = _compared if _sharing(instruments[0]) else _uncompared
    return tell(question, labels, instruments)


def opened(text: str, labels: Sequence[str] = ()) -> str:
    """With a capital, but for a model's name.

    >>> opened("no winner"), opened("vae is ahead of gan", ["vae"])
    ('No winner', 'vae is ahead of gan')
    """
    return text if text.startswith(tuple(labels)) else text[:1].upper() + text[1:]


def _instruments(question: Question, labels: Sequence[str], table: Table) -> list[list[Row]]:
    """Rows of one title, a row for each extractor: those that the most models share."""
    found = []
    for prefix in question.prefixes:
        titles: dict[str, list[Row]] = {}
        for row in table.rows:
            if row.values[0].name.startswith(prefix) and _answers(row, labels):
                titles.setdefault(row.values[0].title, []).append(row)
        if titles:
            found.append(_widest(max(titles.values(), key=_sharing)))
    most = max(map(_sharing, found), default=0)
    return [rows for rows in found if _sharing(rows) == most]


def _answers(row: Row, labels: Sequence[str]) -> bool:
    first = row.values[0]
    return bool(measured(labels, row) and first.better and not first.restates)


def _sharing(rows: Sequence[Row]) -> int:
    """How many models are tested against each other."""
    return max(len(row.contest.ranking) if row.contest else 0 for row in rows)


def _widest(rows: Sequence[Row]) -> list[Row]:
    """One row of each extractor, though there may be another of another sample count."""
    found: dict[str | None, Row] = {}
    for row in rows:
        if _sharing([row]) == _sharing(rows):
            found.setdefault(row.values[0].extractor, row)
    return list(found.values())


def _compared(
    question: Question, labels: Sequence[str], instruments: Sequence[Sequence[Row]]
) -> Answer:
    first, *others = instruments
    ranked = contests_of(first)[0].ranking
    lacking = [label for label in labels if label not in ranked]
    return Answer(
        question.subject,
        question.words,
        f"{opened(outcome(first), labels)}.",
        (
            *(distance(row, measured(labels, row)) for row in first),
            *(f"{rows[0].values[0].title}: {outcome(rows, brief=True)}." for rows in others),
            *([f"Without this number: {together(lacking)}."] if lacking else ()),
        ),
        certainty(contests_of(first)),
    )


def _uncompared(
    question: Question, labels: Sequence[str], instruments: Sequence[Sequence[Row]]
) -> Answer:
    """Where a model alone has the number, or the models have numbers that must not be compared."""
    lines = [
        f"{row.head.text}: {f'{label} ' if labels[1:] else ''}{_position(row, estimate)}."
        for rows in instruments
        for row in rows
        for label, estimate in measured(labels, row).items()
    ]
    first = instruments[0][0]
    sentence = f"{first.head.text} was measured for {next(iter(measured(labels, first)))} alone."
    if first.differing:
        sentence = f"Not compared: the runs differ in {together(first.differing)}."
    elif not labels[1:]:
        sentence, *lines = lines
    return Answer(question.subject, question.words, sentence, tuple(lines), "Nothing to compare")


def _position(row: Row, estimate: Estimate) -> str:
    percent = way(estimate.value, row.values)
    # Floor and ceiling, in words for who meets them here first.
    way_there = "of the way from real data to a trivial model"
    stands = "" if percent is None else f", {percent:.3g} % {way_there}"
    return f"{estimate} {row.values[0].unit}{stands}"
