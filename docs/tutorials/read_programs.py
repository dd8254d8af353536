"""Read the programs: what they hold, what they do, and what the encoder reads.

    python docs/tutorials/own_cells.py --out runs/tutorial
    python docs/tutorials/read_programs.py --out runs/tutorial

On the run of `own_cells.py`, from the same folder. Every table has how sure it is; a picture
is of the table beside it.
"""

import jax
import pandas as pd
from own_cells import Tutorial, cells_and_priors

from scbig import analysis, cli, plotting, report


def main(run: Tutorial) -> pd.DataFrame:
    """Writes tables and figures; returns what programs are enriched in."""
    screen, known = cells_and_priors(run)
    made = report.Run.read(run.out / "model")
    model, folder = made.model, run.out / "programs"
    partition, genes = model.pure.partition, model.names.genes
    folder.mkdir(parents=True, exist_ok=True)
    assert made.split is not None
    assert known.pathways is not None

    # What they hold: more genes of a set than chance would put there, corrected for all tests.
    # Interactions in STRING come from pathways too, so that a part of this is circular.
    sets = analysis.enrichment(partition, genes, known.pathways.align(genes))
    sets.to_csv(folder / "enrichment.csv", index=False)
    plotting.save(plotting.enrichment_heatmap(sets), folder / "enrichment.png")
    print(sets[sets["significant"]].groupby("program")["set"].first().to_string())

    # What they do, in measured cells of conditions that no training saw.
    tested = made.split.test[:8]
    response = analysis.program_response(screen, partition, tested)
    response.to_csv(folder / "response.csv", index=False)
    plotting.save(plotting.program_heatmap(response), folder / "response.png")

    # Which move together: hold it against the controls, where depth moves all of them.
    pairs = analysis.coactivation(screen, partition, tested)
    pairs.to_csv(folder / "coactivation.csv", index=False)

    # What the encoder reads more than in controls. It is what is read, not what comes of it.
    shift = analysis.attention_shift(model, screen, tested)
    shift.to_csv(folder / "attention.csv", index=False)
    plotting.save(plotting.attention_shifts(shift, most=6), folder / "attention.png")

    # The way of cells along the flow. Its times are no times of an experiment.
    ways = analysis.trajectories(model, screen, tested[:4], cells=20, key=jax.random.key(0))
    plotting.save(plotting.trajectories(ways), folder / "ways.png")
    print(f"Tables and figures: {folder}")
    return sets


if __name__ == "__main__":
    main(cli.parse(Tutorial, __doc__))
