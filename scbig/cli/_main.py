"""From the arguments of `scbig` to an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from scbig._errors import NumericalFailure

from ._evaluate import Evaluate
from ._fit import Fit
from ._predict import Predict
from ._prepare import Prepare

_Command = (
    Annotated[Prepare, tyro.conf.subcommand("prepare")]
    | Annotated[Fit, tyro.conf.subcommand("fit")]
    | Annotated[Predict, tyro.conf.subcommand("predict")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
)

DESCRIPTION = """Predict what unseen perturbations do to single cells.

In this order: 'prepare' turns counts into a file to train on, 'fit' trains, 'predict' makes the
cells of perturbations, 'evaluate' compares them with measured cells. Each has its own --help."""


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
        command.run()
    except (ValueError, OSError, ImportError, FloatingPointError, NumericalFailure) as error:
        print(f"scbig: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "scbig: stopped. 'fit' goes on from its folder if it is called again.", file=sys.stderr
        )
        return 130
    return 0


def run() -> None:
    """The entry point: exits with `main`'s code."""
    code = main()
    if code:
        # A file that HDF5 could not close, on a full disk say, would crash the ordinary way out.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
