"""What a person looks at: figures, drawn without a window."""

from scbig._extras import need

need("matplotlib", extra="plot")


from ._calibration import calibration as calibration
from ._cells import (
    attention_shifts as attention_shifts,
    program_heatmap as program_heatmap,
    response_scatter as response_scatter,
)
from ._comparison import comparison as comparison
from ._curves import training_curves as training_curves
from ._density import density as density
from ._dots import dots as dots
from ._programs import (
    enrichment_heatmap as enrichment_heatmap,
    interaction_heatmap as interaction_heatmap,
)
from ._save import save as save
from ._standing import standing as standing
from ._sweep import sweep as sweep
from ._ways import interaction_map as interaction_map, trajectories as trajectories
