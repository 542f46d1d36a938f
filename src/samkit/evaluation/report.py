"""The scores of an evaluation as JSON and as one table."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from samkit.evaluation.session import MODEL, Scores
from samkit.evaluation.summaries import (
    CALIBRATION,
    EDGES,
    ImageScores,
    Summary,
    reliability,
    summarise,
)

METRICS = (
    *("c1", "c1_best", "c1_random", "c2", "c3", "c5", "c9", "noc85", "noc90"),
    *("box", "box_jitter", "box_single", "box_refined", "iou_corr", "ar10", "ar100", "ar1000"),
    *("ods", "ois", "ap", "r50"),
)
"""All metrics, in the order of the table's columns."""
_INTERVAL = "_ci"


def to_json(scores: Scores, about: dict[str, Any]) -> dict[str, Any]:
    """`{protocol: {metric: value, metric_ci: [low, high]}}` of the model, and more beside it.

    Under "rules" the same for each rule (`{rule: {protocol: …}}`), under "sources" the same of
    every source, with "rules" again; under "about" what was measured. "calibration" also has its
    "bins".
    """
    result = _sections(scores, None)
    sources = {source: _sections(scores, source) for source in scores.masks if source}
    if sources:
        result["sources"] = {
            name: {"masks": scores.masks[name], **section} for name, section in sources.items()
        }
    result["about"] = about | {"masks": sum(scores.masks.values())}
    return result


def to_table(result: dict[str, Any]) -> Table:
    """One table of what `to_json` gave: the model, its intervals, the rules, and every source."""
    metrics = [name for name in METRICS if any(name in row for row in _rows(result).values())]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("masks", justify="right", no_wrap=True)
    for name in metrics:
        table.add_column(name, justify="right", no_wrap=True)

    def add(name: str, masks: Any, rows: dict[str, Summary]) -> None:
        for label, row in rows.items():
            cells = [_cell(row.get(metric)) for metric in metrics]
            table.add_row(_label(name, label), str(masks or ""), *cells)

    everything = _rows(result)
    masks = result["about"]["masks"]
    if MODEL in everything:
        row = everything.pop(MODEL)
        add("all", masks, {MODEL: row})
        intervals = [_half_width(row.get(name + _INTERVAL)) for name in metrics]
        table.add_row("  95%", "", *intervals, style="dim")
    add("all", masks, everything)
    for source, section in result.get("sources", {}).items():
        rows = _rows(section)
        shown = {MODEL: rows[MODEL]} if MODEL in rows else rows
        add(source, section["masks"], shown)
    return table


def _sections(scores: Scores, source: str | None) -> dict[str, Any]:
    """Summaries of the model by protocol, and those of rules under "rules"; all sources if None."""
    result: dict[str, Any] = {}
    rules: dict[str, dict[str, Any]] = {}
    for (who, protocol), images in scores.by.items():
        chosen = [one for one in images if source is None or one.source == source]
        if chosen:
            section = result if who == MODEL else rules.setdefault(who, {})
            section[protocol] = _summary(protocol, chosen)
    return result | ({"rules": rules} if rules else {})


def _summary(protocol: str, images: Sequence[ImageScores]) -> dict[str, Any]:
    summary: dict[str, Any] = dict(summarise(protocol, images))
    if protocol == CALIBRATION:
        summary["bins"] = [vars(one) for one in reliability(images)]
    if protocol == EDGES:
        summary["images"] = len(images)
    return summary


def _rows(section: dict[str, Any]) -> dict[str, Summary]:
    """All metrics of every protocol together: of the model, then of each rule."""
    rules = section.get("rules", {})
    of_model = {
        key: value
        for key, value in section.items()
        if isinstance(value, dict) and key not in ("rules", "sources", "about")
    }
    found = {MODEL: of_model} if of_model else {}
    return {
        who: {name: value for values in protocols.values() for name, value in values.items()}
        for who, protocols in (found | rules).items()
    }


def _label(name: str, who: str) -> str:
    return name if who == MODEL else who if name == "all" else f"{name}: {who}"


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else ""


def _half_width(interval: Any) -> str:
    return f"±{(interval[1] - interval[0]) / 2:.3f}" if isinstance(interval, list) else ""
