"""What a folder of `scbig.fit` holds."""

import dataclasses
import json
import os
import pathlib
from typing import Any

import pandas as pd

from scbig._files import versions
from scbig.programs import ProgramTable, read_programs
from scbig.service import TrainedModel, load
from scbig.splits import Split
from scbig.train import MetricsLog


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run.

    **Fields:** `folder`; `model`; `programs`, by name; `config`, as it was written; `history`, the
    metrics of each compiled call; `split`, if the run has one; `version` of scBIG that wrote the
    model.
    """

    folder: pathlib.Path
    model: TrainedModel
    programs: ProgramTable
    config: dict[str, Any]
    history: pd.DataFrame
    split: Split | None
    version: str

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "Run":
        """Reads a folder.

        **Raises:** `ValueError` naming the folder, if no finished model is in it.
        """
        path = pathlib.Path(folder)
        lacking = [n for n in ("model.scbig", "programs.csv") if not (path / n).is_file()]
        if lacking:
            raise ValueError(
                f"{path} has no {lacking[0]}: it is not the folder of a run that has ended."
            )
        model = load(path / "model.scbig")
        config, split = path / "config.json", path / "split.json"
        return cls(
            folder=path,
            model=model,
            programs=read_programs(path / "programs.csv"),
            config=json.loads(config.read_text()) if config.exists() else model.config.to_dict(),
            history=MetricsLog(path / "metrics.jsonl").table(),
            split=Split.read(split) if split.exists() else None,
            version=versions(path / "model.scbig", "model")["scbig-jax"],
        )
