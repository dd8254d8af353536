"""The public screens: address, checksum, licence, citation, and what each file holds.

Addresses, sizes, MD5 sums and numbers of cells are as public texts state them; no file was fetched
when these records were written. Where no checksum is stated, there is none here either.
"""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where the file of a public screen lies, and what it holds.

    A mirror or another screen of the same structure is a `dataclasses.replace` away.
    """

    name: str
    """What `fetch` and `load` call it."""
    holds: str
    """Cells, genes, conditions."""
    file: str
    """The file's name in the cache folder."""
    url: str
    mirrors: tuple[str, ...] = ()
    """Other addresses that public texts name; none is tried unless it is passed as `url`."""
    checksum: str | None
    """`md5:` or `sha256:` and hexadecimal digits; None if no public text states one."""
    size: int | None
    """In bytes."""
    licence: str
    citation: str
    """The study and the archive, with their DOIs."""
    structure: Literal["scperturb", "combosciplex"]
    """Which reader understands the file."""
    context: str
    """The cell line, spelt the same in every screen."""
    dose: float | None = None
    """The dose of each perturbation, where all had the same and the file has no column for it."""
    dose_unit: str = ""

    @property
    def notice(self) -> str:
        """The licence and what to cite."""
        return f"{self.name}: licence {self.licence}\nPlease cite: {self.citation}"

    @property
    def summary(self) -> str:
        """What there is, its size, the address, the licence and what to cite."""
        size = "size not stated" if self.size is None else f"{self.size / 1e6:,.0f} MB"
        return f"{self.name}: {self.holds}; {size}\n{self.url}\n{self.notice.partition(': ')[2]}"


_SCPERTURB = "https://zenodo.org/records/13350497/files/"
_SCPERTURB_LICENCE = "CC BY 4.0 (scPerturb's record)"
_SCPERTURB_CITATION = (
    "Peidli et al., scPerturb: harmonized single-cell perturbation data, Nature Methods 21 (2024), "
    "doi:10.1038/s41592-023-02144-y, files doi:10.5281/zenodo.13350497"
)
_REPLOGLE = (
    "Replogle et al., Mapping information-rich genotype-phenotype landscapes with genome-scale "
    "Perturb-seq, Cell 185, 2559-2575 (2022), doi:10.1016/j.cell.2022.05.013; "
    + _SCPERTURB_CITATION
)

NORMAN2019 = Source(
    name="norman2019",
    holds=(
        "Norman 2019, K562, CRISPRa of one or two genes: 111,445 cells (11,855 controls), "
        "33,694 genes, 105 singles and 131 doubles"
    ),
    file="NormanWeissman2019_filtered.h5ad",
    url=_SCPERTURB + "NormanWeissman2019_filtered.h5ad?download=1",
    checksum="md5:c870e6967d91c017d9da827bab183cd6",
    size=698_680_199,
    licence=_SCPERTURB_LICENCE,
    citation=(
        "Norman et al., Exploring genetic interaction manifolds constructed from rich single-cell "
        "phenotypes, Science 365, 786-793 (2019), doi:10.1126/science.aax4438; "
        + _SCPERTURB_CITATION
    ),
    structure="scperturb",
    context="K562",
)
"""Size and MD5 are stated alike for versions 1.3 and 1.4 of scPerturb's record."""

REPLOGLE2022_RPE1 = Source(
    name="replogle2022_rpe1",
    holds=(
        "Replogle 2022, RPE1, CRISPRi of essential genes: 247,914 cells (11,485 controls), "
        "8,749 genes, singles only"
    ),
    file="ReplogleWeissman2022_rpe1.h5ad",
    url=_SCPERTURB + "ReplogleWeissman2022_rpe1.h5ad?download=1",
    checksum="md5:cc7f1ec50aeb3a3e1b4a6cfa713d80fa",
    size=1_236_886_900,
    licence=_SCPERTURB_LICENCE,
    citation=_REPLOGLE,
    structure="scperturb",
    context="RPE1",
)
"""Size and MD5 are stated alike for versions 1.3 and 1.4 of scPerturb's record."""

REPLOGLE2022_K562 = Source(
    name="replogle2022_k562",
    holds=(
        "Replogle 2022, K562, day 6, CRISPRi of essential genes: 310,385 cells (10,691 controls), "
        "8,563 genes, 2,057 singles"
    ),
    file="ReplogleWeissman2022_K562_essential.h5ad",
    url=_SCPERTURB + "ReplogleWeissman2022_K562_essential.h5ad?download=1",
    checksum="md5:d8cba17576d1a8afc0f7d71b79cad0f7",
    size=1_546_729_675,
    licence=_SCPERTURB_LICENCE,
    citation=_REPLOGLE,
    structure="scperturb",
    context="K562",
)
"""Size and MD5 are stated alike for versions 1.3 and 1.4 of scPerturb's record."""

COMBOSCIPLEX = Source(
    name="combosciplex",
    holds=(
        "ComboSciPlex, A549, one or two of 17 drugs for 24 h: 63,378 cells (1,451 controls), "
        "27,518 genes, 6 singles and 25 pairs"
    ),
    file="combosciplex.h5ad",
    url="https://figshare.com/ndownloader/files/44229635",
    mirrors=("https://exampledata.scverse.org/pertpy/combosciplex.h5ad",),
    checksum=None,
    size=None,
    licence=(
        "not stated with the file; the study is open access, its counts are GEO's GSE206741. "
        "Look at the file's page before you share it on"
    ),
    citation=(
        "Lotfollahi et al., Predicting cellular responses to complex perturbations in "
        "high-throughput screens, Molecular Systems Biology 19, e11517 (2023), "
        "doi:10.15252/msb.202211517; Heumos et al., Pertpy: an end-to-end framework for "
        "perturbation analysis, Nature Methods, doi:10.1038/s41592-025-02909-7"
    ),
    structure="combosciplex",
    context="A549",
    dose=1.0,
    dose_unit="uM",
)
"""The file that pertpy distributes: the address is in pertpy's source, the mirror in one public
script only. No checksum or size is stated. The numbers of cells, genes and conditions are a public
description of a file of that name, which the drug-combination benchmarks read; that it is byte for
byte this one is not known. The dose is the study's: 1 uM of each compound."""

_ALL = (NORMAN2019, REPLOGLE2022_RPE1, REPLOGLE2022_K562, COMBOSCIPLEX)


def sources() -> tuple[Source, ...]:
    """Every public screen that `fetch` and `load` know by name.

    **Returns:** the records; `source.summary` is a record as text.
    """
    return _ALL


def find(source: str | Source) -> Source:
    """The record of that name; a record is returned as it is."""
    if isinstance(source, Source):
        return source
    by_name = {record.name: record for record in _ALL}
    if source not in by_name:
        raise ValueError(f"There is no public screen {source!r}; there is {', '.join(by_name)}.")
    return by_name[source]
