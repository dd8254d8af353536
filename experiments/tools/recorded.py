"""What a run folder says of how it was made, whatever the script."""

import dataclasses
import json
import pathlib
import platform
from collections.abc import Mapping
from typing import Any

import jax

import scbig
from scbig import baselines

Arms = Mapping[str, scbig.ScBIGConfig | baselines.AbstractRecipe]


def record(out: pathlib.Path, run: Any, arms: Arms) -> None:
    """Writes `config.json`: with what it is made, the script's own options, and every arm.

    **Arguments:** `run`, the options, a dataclass; `arms`, by the names of their rows. Of a recipe
    with arrays inside, their SHA-256 stands after what it tells of itself.
    """
    unknown = sorted({*getattr(run, "only", ())} - {*arms})
    if unknown:
        raise SystemExit(f"No arm {unknown[0]!r}; there are {', '.join(arms)}.")
    told = {
        "made with": {
            "scbig": scbig.__version__, "jax": jax.__version__,
            "python": platform.python_version(), "device": jax.devices()[0].device_kind,
        },
        "run": {"is": type(run).__name__, **dataclasses.asdict(run)},
        "arms": {name: _told(arm) for name, arm in arms.items()},
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(told, indent=1, default=str) + "\n")


def _told(arm: scbig.ScBIGConfig | baselines.AbstractRecipe) -> Any:
    """A configuration as it is read again; a recipe as it tells itself, in JSON as far as it is."""
    if isinstance(arm, scbig.ScBIGConfig):
        return arm.to_dict()
    said = arm.told()
    try:
        found, end = json.JSONDecoder().raw_decode(said)
    except json.JSONDecodeError:
        return said  # a name
    rest = said[end:].strip()
    return {"recipe": found, "of": rest} if rest else found
