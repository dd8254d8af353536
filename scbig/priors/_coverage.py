"""How much of what was asked for a prior knows."""

from dataclasses import dataclass

from ._names import examples


@dataclass(frozen=True)
class Coverage:
    """How many genes a prior covers, and which it does not.

    **Arguments:** `what`, the prior's name in the report; `found`, the number of covered genes;
    `missing`, the others, in the order of the request.
    """

    what: str
    found: int
    missing: tuple[str, ...]

    @property
    def total(self) -> int:
        """Genes asked for."""
        return self.found + len(self.missing)

    @property
    def fraction(self) -> float:
        """Share of the genes that is covered, in [0, 1]; 0 if none was asked for."""
        return self.found / self.total if self.total else 0.0

    def summary(self) -> str:
        """One line: `gene embeddings: 412 of 500 genes (82.4 %); missing 88, e.g. A, B, C`."""
        line = f"{self.what}: {self.found} of {self.total} genes ({100 * self.fraction:.1f} %)"
        if not self.missing:
            return line
        few = len(self.missing) <= 3
        names = ": " + examples(self.missing) if few else ", e.g. " + ", ".join(self.missing[:3])
        return f"{line}; missing {len(self.missing)}{names}"
