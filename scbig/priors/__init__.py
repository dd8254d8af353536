"""What was known before: gene embeddings, interactions and pathways, from files, by name."""

from ._aliases import AliasTable as AliasTable, read_aliases as read_aliases
from ._annotations import Annotations as Annotations
from ._border import Coverage as Coverage, nearest as nearest
from ._coexpression import coexpression as coexpression
from ._embeddings import (
    AlignedEmbeddings as AlignedEmbeddings,
    EmbeddingTable as EmbeddingTable,
)
from ._gene_names import (
    GeneMatch as GeneMatch,
    match_genes as match_genes,
    rename_genes as rename_genes,
)
from ._interactions import (
    AlignedGraph as AlignedGraph,
    InteractionGraph as InteractionGraph,
)
from ._pathways import (
    PathwayLibrary as PathwayLibrary,
    PathwayMembership as PathwayMembership,
    read_pathways as read_pathways,
)
from ._read_annotations import read_annotations as read_annotations
from ._read_embeddings import read_embeddings as read_embeddings
from ._read_interactions import read_interactions as read_interactions
