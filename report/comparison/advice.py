"""Which k the runs speak for, and what speaks for it. No label comes here.

The rule, in two steps:

1. Stable. The stability s(k) is the smaller of the two mean agreements, over seeds and over halves of the data. Its
   measure is the adjusted Rand index: 1 - ARI is the share of disagreeing pairs over that expected of random labels
   with the same sizes (Hubert and Arabie, 1985), which is the normalisation that Lange, Roth, Braun and Buhmann
   ("Stability-based validation of clustering solutions", Neural Computation 2004, section 3) put before a comparison
   of different k. It does not take away that a small k is often stable without being right (von Luxburg, "Clustering
   stability: an overview", 2010). So s(k) is not compared over all k. As in Ben-Hur, Elisseeff and Guyon ("A stability
   based method for discovering structure in clustered data", 2002), who look for where stability falls, k is kept if
   neither neighbour in the list is more stable, by more than `MARGIN`, and s(k) is at least `MODERATE`, below which
   Steinley ("Properties of the Hubert-Arabie adjusted Rand index", 2004) calls agreement poor.
2. Separated. Of the k that are kept the one with the highest silhouette (Rousseeuw, 1987) in a space that no cluster
   has shaped: pixels, a representation, or a joint method's space before joint training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from report.rows import Row, value

MODERATE = 0.65
MARGIN = 0.1
"""Of ARI: with many clusters KMeans ends in another local optimum under every seed, which costs the right k as much.
Chosen on mixtures of 3, 10 and 40 groups; the tested mixture of 40 was among those that showed 0.03 to be too small."""


@dataclass(frozen=True)
class Advice:
    """What to take.

    Attributes:
        k: the number of clusters; None where nothing speaks for any.
        sentence: for people, with what speaks for it and what against.
    """

    k: int | None
    sentence: str


def advise(rows: Sequence[Row]) -> Advice:
    """Which of the rows' k is stable and separated, if any is.

    Args:
        rows: of one method, one a k, as `report.comparison.over_k.row_of` gives them.
    """
    tried = sorted((row for row in rows if value(row, "k") is not None), key=_k)
    measured = [row for row in tried if stability(row) is not None]
    if any("finds k itself" in str(value(row, "notes")) for row in rows):
        return Advice(None, f"No advice: this method finds k itself. {_of_stability(measured)}".strip())
    if not measured:
        return Advice(None, "No advice: no k has the runs that its stability needs.")
    if len(measured) == 1:
        k = _k(measured[0])
        return Advice(None, f"No advice: k = {k} has nothing to compare with. {_of_stability(measured)}")
    kept = [row for place, row in enumerate(measured) if _is_kept(row, measured[max(0, place - 1) : place + 2])]
    if not kept:
        best = max(measured, key=_s)
        return Advice(
            None,
            f"Nothing speaks for any k: the most stable is k = {_k(best)}, over {_agreements(best)}, and agreement "
            f"below {MODERATE} is poor.",
        )
    best = max(kept, key=lambda row: (_silhouette(row), _s(row)))
    if _silhouette(best) <= 0:
        return Advice(
            None,
            f"Nothing speaks for any k: k = {_k(best)} is stable ({_agreements(best)}), but its clusters are not "
            f"separated (silhouette {_silhouette(best):.2f}).",
        )
    return Advice(_k(best), " ".join([_reasons(best, measured), *_others(best, tried), *_edges(best, tried)]))


def stability(row: Row) -> float | None:
    """The smaller mean agreement, over seeds or over halves; None without halves, which alone show another sample."""
    seeds, halves = (value(row, f"stability_{name}") for name in ("seeds", "halves"))
    if not isinstance(halves, float):
        return None
    return min(seeds, halves) if isinstance(seeds, float) else halves


def _is_kept(row: Row, beside: Sequence[Row]) -> bool:
    return _s(row) >= MODERATE and _s(row) >= max(map(_s, beside)) - MARGIN


def _reasons(best: Row, measured: Sequence[Row]) -> str:
    most = "most stable" if _s(best) == max(map(_s, measured)) else "stable"
    text = f"k = {_k(best)}: {most} over {_agreements(best)}"
    if value(best, "silhouette") is None:
        return f"{text}."
    highest = max(measured, key=_silhouette)
    of_best = f"({_silhouette(best):.2f}, {value(best, 'space')})"
    if highest is best:
        return f"{text}, silhouette highest {of_best}."
    against = f"k = {_k(highest)} has a higher one ({_silhouette(highest):.2f}) and is less stable"
    return f"{text}, silhouette highest of the stable k {of_best}; {against}."


def _others(best: Row, tried: Sequence[Row]) -> list[str]:
    """What the criteria prefer that have no voice in the rule."""
    agreeing: list[tuple[str, int]] = []
    other: list[tuple[str, int]] = []
    for key, name, sign in (
        ("bic", "BIC", -1),
        ("davies_bouldin", "Davies-Bouldin", -1),
        ("calinski_harabasz", "Calinski-Harabasz", 1),
    ):
        found = {_k(row): sign * number for row in tried if isinstance(number := value(row, key), float)}
        if len(found) < 2:
            continue
        preferred = max(found, key=lambda k: found[k])
        (agreeing if preferred == _k(best) else other).append((name, preferred))
    lines = []
    if agreeing:
        verb = "prefers" if len(agreeing) == 1 else "prefer"
        lines.append(f"{' and '.join(name for name, _ in agreeing)} {verb} it too.")
    lines += [f"{name} prefers {preferred}." for name, preferred in other]
    return lines


def _edges(best: Row, tried: Sequence[Row]) -> list[str]:
    if _k(best) == _k(tried[-1]):
        return ["It is the largest k that was tried: try larger ones."]
    if _k(best) == _k(tried[0]) and _k(best) > 2:
        return ["It is the smallest k that was tried: try smaller ones."]
    return []


def _of_stability(rows: Sequence[Row]) -> str:
    return f"Its stability: {_agreements(rows[0])}." if len(rows) == 1 else ""


def _agreements(row: Row) -> str:
    """ "seeds (ARI 0.94) and halves (0.91)"."""
    seeds, halves = value(row, "stability_seeds"), value(row, "stability_halves")
    of_seeds = f"seeds (ARI {seeds:.2f}) and " if isinstance(seeds, float) else ""
    return f"{of_seeds}halves ({'' if of_seeds else 'ARI '}{halves:.2f})"


def _k(row: Row) -> int:
    return int(value(row, "k") or 0)


def _s(row: Row) -> float:
    found = stability(row)
    return -1.0 if found is None else found


def _silhouette(row: Row) -> float:
    found = value(row, "silhouette")
    return float(found) if isinstance(found, float) else 1.0  # where there is none it decides nothing
