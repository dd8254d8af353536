"""From a screen and priors to a trained model."""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import pandas as pd

from scbig._claims import in_use
from scbig._names import examples
from scbig._typing import PRNGKeyArray
from scbig._value import but
from scbig.data import Report, Screen
from scbig.method import ScBIGConfig
from scbig.model import Changed
from scbig.programs import Clustering, Given, ProgramTable
from scbig.service import TrainedModel, save

from ._holdout import hold_out_conditions
from ._materials import Materials, identity_of
from ._priors import Priors
from ._programs import ClusteringInput, response_errors
from ._record import Recorder
from ._stages import TrainingKeys, train_autoencoder, train_stages


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitResult:
    """What `fit` made.

    **Fields:** `model`; `programs`, its gene programs by name; `clustering`, how they were
    reached, or `None` if they were given; `history`, the metrics of each compiled call, of the
    last training; `coverage`, one line for each prior that was read; `report`, what the screen
    holds and what the priors that were read know of it.
    """

    model: TrainedModel
    programs: ProgramTable
    clustering: Clustering | None
    history: pd.DataFrame
    coverage: tuple[str, ...]
    report: Report


def fit(
    screen: Screen,
    priors: Priors,
    config: ScBIGConfig,
    *,
    programs: ProgramTable | None = None,
    autoencoder: TrainedModel | None = None,
    validation: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    anyway: bool = False,
    say: Callable[[str], None] = print,
    key: PRNGKeyArray,
) -> FitResult:
    """Clusters the genes, trains the autoencoder, then the flow.

    **Arguments:**

    - `screen`: training cells. Leave the test conditions out: `screen.without(test)`.
    - `programs`: gene programs of exactly the screen's genes (`ProgramTable.align` makes them so),
        instead of those that `config.programs` would make, which then is `Given()`.
    - `autoencoder`: a trained model of the screen's genes, whose programs, encoder and decoder are
        taken as they are, so that only the flow is trained; the priors that only those read need
        not be given again.
    - `validation`: conditions of the screen that only select the best parameters of the flow;
        without any, some that `stage2.hold_out` draws do, or else the cells held out from stage 1:
        a flow with an anchor then leaves all means to it. With `stage2.refit` the flow learns at
        last from what selected too.
    - `out`: a folder for `config.json`, `metrics.jsonl`, checkpoints, `programs.csv` and the
        finished `model.scbig`. A run that was stopped goes on from its checkpoints there, also with
        more `max_steps` of a solve that stopped it; one that has ended goes on with more
        `stage2.steps`, with the validation at its former end among those that choose. With
        `config.programs.feedback`, each earlier training has a folder `update0`, ... in it.
    - `progress`: whether to print the screen's report, and to draw progress bars.
    - `anyway`: whether to train in spite of what the report says: interactions without an edge
        between two genes (there are then none), a perturbation without a vector (it then has the
        mean of all), or vectors for less than half of the genes.
    - `say`: what the report is printed with.

    **Raises:** `ValueError` for what the report calls a reason not to train; naming a prior that
    the configuration reads and that is not given, genes, perturbations or contexts without an
    embedding, more programs than genes, programs or an autoencoder of other genes, pathways without
    a gene of the screen, or another run's folder; `NumericalFailure` for plans or solves that do
    not reach their end; `FloatingPointError` for a loss that is not finite.
    """
    _check_arguments(screen, priors, config, programs, autoencoder, validation)
    if autoencoder is not None:
        programs = _programs_of(autoencoder, screen, config, programs)
    if not validation and config.stage2.hold_out:
        drawn = jr.fold_in(jr.split(key, 5)[2], 1)
        validation = hold_out_conditions(screen, config.stage2.hold_out, key=drawn)
    if not validation and config.anchor is not None and isinstance(config.emission, Changed):
        # Cells of seen conditions cannot judge what a flow does to the means of unseen ones.
        config = but(config, **{"emission.mean": 0.0})
    given = screen, priors, config, programs, autoencoder, validation, out
    return _start(*given, progress=progress, anyway=anyway, say=say, train=train_stages, key=key)


def fit_autoencoder(
    screen: Screen,
    priors: Priors,
    config: ScBIGConfig,
    *,
    programs: ProgramTable | None = None,
    validation: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    anyway: bool = False,
    say: Callable[[str], None] = print,
    key: PRNGKeyArray,
) -> FitResult:
    """Clusters the genes and trains the autoencoder, for several flows: see `fit(autoencoder=)`.

    As `fit` does first: where the same conditions validate, under the same key the programs and
    the autoencoder are the same. The flow of the model is untrained.

    **Arguments:** as for `fit`; of the configuration only what stage 1 reads counts.

    **Raises:** as `fit`; a `ValueError` for programs that learn from what a flow misses.
    """
    _check_arguments(screen, priors, config, programs, None, validation)
    if config.programs.updates:
        raise ValueError(
            "programs.feedback learns from what a flow misses, and there is none: leave it out."
        )
    names = ("programs", "encoder", "decoder", "condition", "velocity", "stage1")
    networks = {n: getattr(config, n) for n in (*names, "identity", "targets", "max_tokens")}
    own = ScBIGConfig(**networks, terms=())
    train = lambda *given, autoencoder: train_autoencoder(*given)
    given = screen, priors, own, programs, None, validation, out
    return _start(*given, progress=progress, anyway=anyway, say=say, train=train, key=key)


def _start(
    screen: Screen,
    priors: Priors,
    config: ScBIGConfig,
    programs: ProgramTable | None,
    autoencoder: TrainedModel | None,
    validation: Sequence[str],
    out: str | os.PathLike[str] | None,
    *,
    progress: bool,
    anyway: bool,
    say: Callable[[str], None],
    train: Callable[..., TrainedModel],
    key: PRNGKeyArray,
) -> FitResult:
    """What is wrong is told before anything is trained; then all of it, in the run's folder."""
    program_key, model_key, split_key, stage1_key, stage2_key = jr.split(key, 5)
    keys = TrainingKeys(model=model_key, stage1=stage1_key, stage2=stage2_key)
    table = None if programs is None else programs.align(screen.genes)
    if table is not None:
        config = but(config, programs=Given())
    given = () if autoencoder is None else ("encoder", "decoder")
    report = screen.report(priors.read_by(config, given=given))
    if progress:
        say(str(report))
    if not anyway:
        report.check()
    options: Any = {"given": given, "anyway": anyway, "key": split_key}
    materials = Materials.of(screen, priors, config, validation, **options)
    brought = () if table is None else (table.partition,)
    brought = (*brought, *([] if autoencoder is None else [autoencoder.pure]))
    facts = (*materials.facts, *jax.tree.leaves(eqx.filter(brought, eqx.is_array)))
    told = screen, config, validation, facts, key
    identity = identity_of(*told, autoencoder=autoencoder is not None)
    with in_use(out):
        recorder = Recorder(out, identity, progress=progress)
        recorder.claim(config.to_dict())
        given = table, autoencoder, priors.provenance(config)
        return _run(materials, recorder, keys, *given, report, train=train, key=program_key)


def _run(
    materials: Materials,
    recorder: Recorder,
    keys: TrainingKeys,
    table: ProgramTable | None,
    autoencoder: TrainedModel | None,
    provenance: dict[str, Any],
    report: Report,
    *,
    train: Callable[..., TrainedModel],
    key: PRNGKeyArray,
) -> FitResult:
    """The programs, unless they are given, then `train`; all is kept in the run's folder."""
    clustering = None
    if table is None:
        clustering = _find_programs(materials, provenance, recorder, keys, key=key)
        table = ProgramTable.of(materials.names.genes, clustering.partition, provenance)
    pure = None if autoencoder is None else autoencoder.pure
    model = train(materials, table.partition, recorder, keys, autoencoder=pure)
    if recorder.folder is not None:
        table.save(recorder.folder / "programs.csv")
        save(model, recorder.folder / "model.scbig")
    return FitResult(
        model=model,
        programs=table,
        clustering=clustering,
        history=recorder.log.table(),
        coverage=materials.priors.coverage,
        report=report,
    )


def _check_arguments(
    screen: Any, priors: Any, config: Any, programs: Any, autoencoder: Any, validation: Any
) -> None:
    """Raises, before anything is done, for what could only fail at the end."""
    wanted = {
        "screen": (screen, Screen, "Screen.from_anndata(adata) makes one"),
        "priors": (priors, Priors, "Priors(genes=...) holds them"),
        "config": (config, ScBIGConfig, "start from scbig.cpu() or scbig.paper()"),
        "programs": (programs, ProgramTable | None, "ProgramTable.of makes one"),
        "autoencoder": (autoencoder, TrainedModel | None, "fit(...).model and load(...) are some"),
    }
    for name, (value, kind, hint) in wanted.items():
        if not isinstance(value, kind):
            raise ValueError(f"fit: {name} is a {type(value).__name__}; {hint}.")
    if isinstance(validation, str):
        raise ValueError(f"fit: validation must be a list of labels; got {validation!r}.")
    written = json.loads(json.dumps(config.to_dict()))
    # Else the finished model could not be written, or not be read.
    if ScBIGConfig.from_dict(written) != config:
        again = ScBIGConfig.from_dict(written).to_dict()
        differ = [name for name in written if written[name] != again[name]] or list(written)
        raise ValueError(
            f"The configuration's {examples(differ)} does not come back from JSON as it is: each "
            "field of a class of one's own must be an argument of its own."
        )


def _programs_of(
    autoencoder: TrainedModel,
    screen: Screen,
    config: ScBIGConfig,
    programs: ProgramTable | None,
) -> ProgramTable:
    """The programs of an autoencoder that fits this screen and configuration."""
    if programs is not None:
        raise ValueError("The autoencoder has gene programs of its own: leave programs= out.")
    given = autoencoder.names.genes
    if given != screen.genes:
        differ = sorted(set(given) ^ set(screen.genes))
        raise ValueError(
            f"The autoencoder has {len(given)} genes, the screen {len(screen.genes)}; only one of "
            f"them has {examples(differ) or 'none, but the order differs'}. Take the screen's "
            "genes as in `autoencoder.names.genes`."
        )
    for name in ("encoder", "decoder"):
        if getattr(autoencoder.config, name) != getattr(config, name):
            raise ValueError(
                f"The autoencoder's {name} is {getattr(autoencoder.config, name)}, the "
                f"configuration's {getattr(config, name)}: take the autoencoder's."
            )
    return ProgramTable.of(given, autoencoder.pure.partition, {"programs": "of an autoencoder"})


def _find_programs(
    materials: Materials,
    provenance: dict[str, Any],
    recorder: Recorder,
    keys: TrainingKeys,
    *,
    key: PRNGKeyArray,
) -> Clustering:
    """Programs from the priors; then, as often as asked for, updated by what a training misses."""
    method = materials.config.programs
    # What selects must not have been learned from: the next programs learn from these errors.
    once = but(materials.config, **{"stage2.refit": "nothing", "stage2.members": 1})
    materials = dataclasses.replace(materials, config=once)
    grouping = ClusteringInput.of(materials.kept, materials.priors, method)
    clustering = grouping.cluster(method, key=key)
    for update in range(method.updates):
        folder = recorder.within(f"update{update}")
        model = train_stages(materials, clustering.partition, folder, keys.fold(update + 1))
        if folder.folder is not None:
            table = ProgramTable.of(materials.names.genes, clustering.partition, provenance)
            table.save(folder.folder / "programs.csv")
        error_key, cluster_key = jr.split(jr.fold_in(key, update + 1))
        # Of the cells that the flow learned from: what it is judged by must stay unseen.
        errors = response_errors(model, materials.learn, key=error_key)
        clustering = grouping.cluster(method, errors=errors, previous=clustering, key=cluster_key)
    return clustering
