"""What every page shares: the templates and the list of protocols."""

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gen_models.reporting.cells import Table

if TYPE_CHECKING:
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"

SCRIPTS = ("sort.js", "zoom.js")
"""What every page runs: tables sorted by their heads, pictures enlarged. Reading needs neither."""


@dataclass(frozen=True)
class Script:
    """A script of the house; a page runs no other.

    Attributes:
        text: What stands in the element, to the letter.
        digest: Its SHA-256 in base64, which the page's policy allows.
    """

    text: "Markup"
    digest: str


def script(name: str) -> Script:
    """A script of `templates/`, which is ours to the letter: `render` trusts nothing else so."""
    from markupsafe import Markup

    text = (TEMPLATES / name).read_text(encoding="utf-8")
    digest = hashlib.sha256(text.encode()).digest()
    return Script(Markup(text), base64.b64encode(digest).decode("ascii"))


def render(template: str, **context: Any) -> str:
    """Fill a template of `templates/`; a name it asks for and does not get is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    # Names, reasons and captions come from records of strangers: everything is escaped.
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_whole,
    )
    scripts = [script(name) for name in SCRIPTS]
    return environment.get_template(template).render(scripts=scripts, **context)


def _whole(text: Any) -> Any:
    """Text whose numbers do not break over two lines; what is marked up already stays as it is."""
    # A command is copied into a shell, which knows no hard spaces.
    if type(text) is not str or text.startswith("python "):
        return text
    text = re.sub(r"\bp ([=<]) (?=\d)", "p\u00a0\\1\u00a0", text)
    return re.sub(r"(?<=\d) %", "\u00a0%", text)


def protocols(table: Table) -> list[tuple[str, str]]:
    """Each measurement's name with its protocols in words."""
    return [
        (
            row.values[0].name,
            " / ".join(dict.fromkeys(v.protocol for v in row.values if v.protocol)),
        )
        for row in table.rows
    ]
