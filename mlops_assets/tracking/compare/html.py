"""A comparison as HTML: one fragment with tables and pictures inside it; nothing is loaded from anywhere, and every
text is escaped."""

import base64
from html import escape

from mlops_assets.learning.canvas import Figure
from mlops_assets.tracking.compare.sections import Section, printable

STYLE = """
.mlops-compare { font: 13px/1.45 system-ui, sans-serif; max-width: 1200px; }
.mlops-compare h4 { margin: 1.2em 0 0.3em; font-size: 14px; }
.mlops-compare p { margin: 0.3em 0; }
.mlops-compare .verdict { font-size: 15px; font-weight: 600; }
.mlops-compare .note { border-left: 3px solid #c8501e; padding-left: 0.6em; }
.mlops-compare .wide { overflow-x: auto; }
.mlops-compare table { border-collapse: collapse; }
.mlops-compare th, .mlops-compare td { padding: 2px 10px 2px 0; text-align: left; white-space: nowrap; }
.mlops-compare th { border-bottom: 1px solid #999; font-weight: 600; }
.mlops-compare .number { text-align: right; font-variant-numeric: tabular-nums; }
.mlops-compare img { max-width: 100%; height: auto; background: #fff; }
"""


def report(verdict: str, sections: list[Section], figures: list[Figure], notes: tuple[str, ...]) -> str:
    """A ``div`` that is well-formed XML as well."""
    parts = [f'<div class="mlops-compare"><style>{STYLE}</style>', f'<p class="verdict">{_text(verdict)}</p>']
    parts += [f'<p class="note">{_text(note)}</p>' for note in notes]
    parts += [_section(section) for section in sections]
    parts += [_figure(figure) for figure in figures]
    return "\n".join([*parts, "</div>"])


def page(title: str, body: str) -> str:
    """A whole document around a fragment."""
    head = f'<meta charset="utf-8" /><title>{_text(title)}</title>'
    return f"<!DOCTYPE html>\n<html><head>{head}</head><body>{body}</body></html>\n"


def _text(text: str) -> str:
    return escape(printable(text), quote=True)


def _section(section: Section) -> str:
    parts = [f"<h4>{_text(section.title)}</h4>"]
    if section.said:
        parts.append(f"<p>{_text(section.said)}</p>")
    if section.table is not None:
        numeric = section.numeric
        head = _line(section.columns, numeric, "th")
        body = "".join(_line(line, numeric, "td") for line in section.lines)
        parts.append(f'<div class="wide"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>')
    return "\n".join(parts)


def _line(cells: list[str], numeric: list[bool], tag: str) -> str:
    made = [
        f'<{tag} class="number">{_text(cell)}</{tag}>' if number else f"<{tag}>{_text(cell)}</{tag}>"
        for cell, number in zip(cells, numeric, strict=True)
    ]
    return f"<tr>{''.join(made)}</tr>"


def _figure(figure: Figure) -> str:
    data = base64.b64encode(figure.png).decode()
    return f'<h4>{_text(figure.title)}</h4>\n<img alt="{_text(figure.title)}" src="data:image/png;base64,{data}" />'
