"""What a run writes down, and what a person sees meanwhile."""

import json
import os
import pathlib
from types import TracebackType
from typing import Any

import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from scbig._claims import LOCK
from scbig._files import atomic, read_tree, write_tree

from ._state import RunState


class MetricsLog:
    """Rows of metrics in memory and, if a path is given, as JSON lines on disk.

    The file belongs to one run. A run that resumes at a step drops what was logged after it,
    which it is about to log again; the line that a kill cut short is dropped with it.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None):
        self.path = None if path is None else pathlib.Path(path)
        self.rows: list[dict[str, Any]] = []
        if self.path is not None and self.path.exists():
            lines = self.path.read_text().splitlines(keepends=True)
            self.rows = [_read_row(self.path, line) for line in lines if line.endswith("\n")]

    def rewind(self, stage: str, step: int) -> None:
        """Drops the rows of a stage after `step`, and rewrites the file."""
        self.rows = [r for r in self.rows if r["stage"] != stage or r["step"] <= step]
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(self.path) as temporary:
                temporary.write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    def write(self, row: dict[str, Any]) -> None:
        """Adds one row."""
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    def table(self) -> pd.DataFrame:
        """All rows; a column that a row lacks is NaN there."""
        return pd.DataFrame(self.rows)


class ProgressBar:
    """One line for one stage: steps done, losses, steps per second, time to go."""

    def __init__(self, stage: str, total: int, *, start: int = 0, enabled: bool = True):
        self._progress = Progress(
            TextColumn("{task.description:12s}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            disable=not enabled,
        )
        self._task = self._progress.add_task(stage, total=total, completed=start, text="")

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, step: int, metrics: dict[str, float], rate: float | None = None) -> None:
        """Moves the bar to `step`; `rate` in steps a second, if all steps are alike."""
        parts = [f"{name} {value:.4g}" for name, value in metrics.items()]
        parts += [] if rate is None else [f"{rate:.1f} steps/s"]
        self._progress.update(self._task, completed=step, text="  ".join(parts))


class Recorder:
    """A run's folder: its configuration, metrics and checkpoints; or, without one, its metrics.

    **Arguments:** `folder`, made if it is not there; `fingerprint`, a name for exactly this run;
    `progress`, whether to draw progress bars.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        fingerprint: str = "",
        *,
        progress: bool = True,
    ):
        self.folder = None if folder is None else pathlib.Path(folder)
        self.fingerprint = fingerprint
        self.progress = progress
        self.log = MetricsLog(None if self.folder is None else self.folder / "metrics.jsonl")

    def claim(self, config: dict[str, Any]) -> None:
        """Writes `config.json`, where no other run has made anything.

        **Raises:** `ValueError` if the folder is another run's, or if this run has already made
        more steps than it is now asked for.
        """
        if self.folder is None:
            return
        path = self.folder / "config.json"
        if path.exists():
            found = _read_fingerprint(path)
            # A run that ended before it made anything, by a wrong setting say, has no claim.
            if any(other.name not in (path.name, LOCK) for other in self.folder.iterdir()):
                self._check(path, found)
            self._check_length(config["stage2"])
            self._check_limits(path, config)
        with atomic(path) as temporary:
            text = json.dumps({"fingerprint": self.fingerprint, "config": config}, indent=2)
            temporary.write_text(text + "\n")

    def within(self, name: str) -> "Recorder":
        """The recorder of another training of the same run, in a folder inside this one's."""
        folder = None if self.folder is None else self.folder / name
        return Recorder(folder, self.fingerprint, progress=self.progress)

    def bar(self, stage: str, total: int, *, start: int) -> ProgressBar:
        """A progress bar for one stage."""
        return ProgressBar(stage, total, start=start, enabled=self.progress)

    def save(self, stage: str, state: RunState) -> None:
        """Writes a stage's checkpoint, atomically."""
        if self.folder is not None:
            header = {"fingerprint": self.fingerprint}
            write_tree(self.folder / f"{stage}.checkpoint", "checkpoint", header, state)

    def restore(self, stage: str, state: RunState) -> RunState:
        """The stage's checkpoint, or `state` if there is none yet.

        **Raises:** `ValueError` if the checkpoint is another run's, truncated or damaged.
        """
        if self.folder is None or not (path := self.folder / f"{stage}.checkpoint").exists():
            return state
        header, restored = read_tree(path, "checkpoint", lambda _: state)
        self._check(path, header["fingerprint"])
        return restored

    def _check_length(self, flow: dict[str, Any]) -> None:
        size = flow["steps_per_call"]
        wanted = -(-flow["steps"] // size) * size
        made = max((row["step"] for row in self.log.rows if row["stage"] == "flow"), default=0)
        if made > wanted:
            raise ValueError(
                f"{self.folder} has a run of {made} steps of stage 2, and only {flow['steps']} are "
                "asked for. Ask for as many or more, or give this run another folder."
            )

    def _check_limits(self, path: pathlib.Path, config: dict[str, Any]) -> None:
        """Only a run that was stopped may go on with other limits of its solves."""
        assert self.folder is not None
        same = _limits(json.loads(path.read_text())["config"]) == _limits(config)
        if (self.folder / "model.scbig").exists() and not same:
            raise ValueError(
                f"{self.folder} has a run that ended with another `max_steps` of a solve. Only a "
                "run that was stopped goes on with more of them: give this one another folder."
            )

    def _check(self, path: pathlib.Path, found: str) -> None:
        if found != self.fingerprint:
            raise ValueError(
                f"{path} belongs to another run: its fingerprint is {found}, this run's is "
                f"{self.fingerprint} (configuration, cells, priors, validation conditions or key "
                "differ). Give this run another folder, or remove the old one."
            )


def _limits(written: Any) -> list[Any]:
    """The most steps of each solve of a configuration, as JSON has it, in order."""
    if not isinstance(written, dict | list):
        return []
    own = [written["max_steps"]] if isinstance(written, dict) and "max_steps" in written else []
    parts = written.values() if isinstance(written, dict) else written
    return [*own, *(limit for part in parts for limit in _limits(part))]


def _read_fingerprint(path: pathlib.Path) -> str:
    try:
        return str(json.loads(path.read_text())["fingerprint"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a configuration that scBIG wrote, or is damaged: "
            "give this run another folder."
        ) from error


def _read_row(path: pathlib.Path, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        return {"stage": row["stage"], "step": row["step"], **row}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} has a line that scBIG did not write, {line.strip()[:40]!r}: "
            "give this run another folder."
        ) from error
