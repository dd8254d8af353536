"""Measured cells: the condition of each, their expression, in memory or on disk, checked."""

from ._checks import (
    check_not_empty as check_not_empty,
    check_unique as check_unique,
    column as column,
    gene_names as gene_names,
)
from ._columns import (
    CONTEXT_JOINT as CONTEXT_JOINT,
    Columns as Columns,
    contexts_of as contexts_of,
)
from ._condition import GUIDE as GUIDE, JOINT as JOINT, Condition as Condition
from ._contexts import in_contexts as in_contexts, of_contexts as of_contexts
from ._controls import CONTROL as CONTROL, CONTROLS as CONTROLS, Controls as Controls
from ._describe import inspect_file as inspect_file
from ._labelled import LabelledCells as LabelledCells, control_cells as control_cells
from ._labels import check_labels as check_labels
from ._matrix import expression_matrix as expression_matrix, read_csr as read_csr
from ._population import (
    context_rows as context_rows,
    expression_of as expression_of,
    population as population,
)
from ._reading import Labels as Labels
from ._record import record_columns as record_columns, recorded_columns as recorded_columns
from ._report import (
    Covered as Covered,
    Knows as Knows,
    Report as Report,
    Scale as Scale,
)
from ._responses import Responses as Responses
from ._scale import (
    check_count_values as check_count_values,
    check_counts as check_counts,
    check_log_base as check_log_base,
    check_log_normalised as check_log_normalised,
    check_one_scale as check_one_scale,
)
from ._screen import Screen as Screen
from ._sizes import Library as Library, size_factors as size_factors
from ._stored import (
    StoredMatrix as StoredMatrix,
    check_suffix as check_suffix,
    condition_names as condition_names,
    labels_of as labels_of,
    read_h5ad as read_h5ad,
    write_store as write_store,
)
