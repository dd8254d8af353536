"""Public screens: where they are, fetched once and verified, read into one tidy form."""

from scbig._extras import need

need("pooch", extra="datasets")


from ._fetch import cache_folder as cache_folder, fetch as fetch
from ._load import load as load, read as read
from ._sources import Source as Source, sources as sources
from ._tidy import from_combosciplex as from_combosciplex, from_scperturb as from_scperturb
