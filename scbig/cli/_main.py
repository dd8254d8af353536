"""From the arguments of `scbig` to an exit code."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import tyro

from scbig._errors import NumericalFailure

from ._evaluate import Evaluate
from ._fit import Fit
from ._inspect import Inspect
from ._predict import Predict
from ._prepare import Prepare
from ._rank import Rank
from ._report import Report
from ._words import spoken

_Command = (
    Annotated[Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[Fit, tyro.conf.subcommand("fit")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Rank, tyro.conf.subcommand("rank")]
    | Annotated[Report, tyro.conf.subcommand("report")]
)

DESCRIPTION = """Predict what unseen perturbations do to single cells.

'inspect' says what a file holds. Then in this order: 'prepare' turns counts into a file to train
on, 'fit' trains, 'predict' makes the cells of perturbations, 'evaluate' compares them with measured
cells. 'rank' looks for perturbations that move a gene program, 'report' turns a run into a page.
Each has its own --help."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command.

    **Arguments:** `args`, the words after `scbig`; those of the process by default.

    **Returns:** the exit code: 0; 1 for a file or a value that cannot be used, a package that is
    not installed, or a computation that did not reach its end, said in one message; 130
    if the user stopped it. Arguments that do not parse exit with 2.
    """
    command = tyro.cli(
        _Command,  # pyright: ignore[reportArgumentType]
        prog="scbig",
        description=DESCRIPTION,
        args=args,
        config=(tyro.conf.CascadeSubcommandArgs,),
    )
    try:
        with _warnings_said():
            command.run()
    except (ValueError, OSError, ImportError, FloatingPointError, NumericalFailure) as error:
        print(f"scbig: {spoken(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "scbig: stopped. 'fit' goes on from its folder if it is called again.", file=sys.stderr
        )
        return 130
    return 0


@contextlib.contextmanager
def _warnings_said() -> Iterator[None]:
    """Prints warnings as the messages that they are, without a line of the library's code."""
    shown = warnings.showwarning

    def say(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, UserWarning):
            print(f"scbig: {spoken(str(message))}", file=sys.stderr)
        else:
            shown(message, category, *rest, **more)

    warnings.showwarning = say
    try:
        yield
    finally:
        warnings.showwarning = shown


def run() -> None:
    """The entry point: exits with `main`'s code."""
    code = main()
    if code:
        # A file that HDF5 could not close, on a full disk say, would crash the ordinary way out.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
