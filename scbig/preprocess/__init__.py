"""From raw counts to log-normalised expression of the genes that matter."""

from scbig._extras import need

need("scanpy", extra="preprocess")


from ._pipeline import preprocess as preprocess, preprocess_file as preprocess_file
from ._thresholds import PreprocessConfig as PreprocessConfig
