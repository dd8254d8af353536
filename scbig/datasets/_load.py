"""A public screen by one call: fetched, read, in the tidy form."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

import anndata as ad

from scbig._names import examples

from ._fetch import fetch
from ._sources import Source, find
from ._tidy import Choice, from_combosciplex, from_scperturb

_READERS = {"scperturb": from_scperturb, "combosciplex": from_combosciplex}


def read(
    path: str | os.PathLike[str], source: str | Source, *, cells: Choice | None = None
) -> ad.AnnData:
    """Reads a published file that is at hand into the tidy form.

    The file is opened backed, so that of a dense file only the counts ever lie in memory, and of
    those only the chosen `cells`.

    **Arguments:**

    - `path`: the h5ad file.
    - `source`: the name or the record of the screen that it holds.
    - `cells`: from the tidy `obs`, a mask or row numbers of the cells to read; without it, all.

    **Returns:** the tidy form that `from_scperturb` describes, ready for `scbig.data.preprocess`
    with `condition_key="condition"`, `control="control"`.

    **Raises:** a ValueError if the file is truncated, damaged or of another structure.
    """
    record = find(source)
    with _whole(path):
        with warnings.catch_warnings():
            # They are made unique below, and named.
            warnings.filterwarnings("ignore", "Variable names are not unique", UserWarning)
            adata = ad.read_h5ad(path, backed="r")
        try:
            return _READERS[record.structure](adata, record, cells=cells)
        finally:
            adata.file.close()


def load(
    source: str | Source,
    *,
    cells: Choice | None = None,
    folder: str | os.PathLike[str] | None = None,
    url: str | None = None,
    progress: bool = True,
    notice: bool = True,
    timeout: float = 60.0,
) -> ad.AnnData:
    """A public screen in the tidy form: `fetch`, then `read`.

    **Arguments:** `cells` as in `read`, the rest as in `fetch`.

    **Returns:** the tidy form that `from_scperturb` describes.

    **Raises:** what `fetch` and `read` raise.
    """
    record = find(source)
    path = fetch(record, folder=folder, url=url, progress=progress, notice=notice, timeout=timeout)
    tidy = read(path, record, cells=cells)
    renamed = list(tidy.uns["source"]["duplicate_symbols_renamed"])
    if notice and renamed:
        print(
            f"{len(renamed)} genes whose symbol is there before were renamed: {examples(renamed)}.",
            file=sys.stderr,
        )
    return tidy


@contextlib.contextmanager
def _whole(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read as an h5ad file: it is truncated, damaged or something else "
            f"({error}). Remove it and fetch it again."
        ) from error
