"""A division of conditions into train, validation and test, as a value."""

import dataclasses
import hashlib
import json
import math
import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from scbig._files import atomic, to_read
from scbig._names import examples, tidied
from scbig.data import JOINT, Condition, Controls, Screen, check_labels

from . import _leakage
from ._pool import cells_of, parse_labels

KIND, FORMAT = "scBIG split", 1
PARTS = ("train", "validation", "test", "dropped")
CONTEXTS = ("train_contexts", "test_contexts")
TUPLES = (*PARTS, *CONTEXTS, "held_out")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """Which conditions are trained on, which choose the model, and which are predicted.

    Every list holds canonical names (`A+B`, sorted), sorted and distinct; `Split.of` makes such
    lists from names in any spelling. A split that leaks cannot be made: see `check`.
    """

    name: str
    train: tuple[str, ...]
    """The conditions to train on, with `control`."""
    validation: tuple[str, ...] = ()
    test: tuple[str, ...]
    seed: int | None = None
    held_out: tuple[str, ...] = ()
    """The perturbations that the test claims to be unseen in training."""
    strict: bool = False
    """Whether no condition of training or validation may touch a held-out perturbation."""
    groups: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Parts of `test` to be reported apart."""
    dropped: tuple[str, ...] = ()
    """The conditions that are in no part."""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The arguments that the split was made with, as plain values."""
    train_contexts: tuple[str, ...] = ()
    """The contexts whose cells are trained on; empty: all."""
    test_contexts: tuple[str, ...] = ()
    """The contexts whose cells are predicted; empty: all."""

    def __post_init__(self) -> None:
        for what in TUPLES:
            if not isinstance(getattr(self, what), tuple):
                raise ValueError(f"`{what}` must be a tuple of names. Split.of takes any list.")
        if self.seed is not None:  # a NumPy integer is one, but JSON does not know it
            object.__setattr__(self, "seed", operator.index(self.seed))
        object.__setattr__(self, "groups", _freeze(self.groups, "groups"))
        object.__setattr__(self, "options", _freeze(self.options, "options"))
        self.check()

    def __hash__(self) -> int:
        return hash((self.train, self.validation, self.test))

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_plain, (self._plain(),)

    @classmethod
    def of(
        cls,
        *,
        name: str,
        train: Iterable[str | Condition],
        test: Iterable[str | Condition],
        validation: Iterable[str | Condition] = (),
        seed: int | None = None,
        held_out: Iterable[str] = (),
        strict: bool = False,
        groups: Mapping[str, Iterable[str | Condition]] | None = None,
        dropped: Iterable[str | Condition] = (),
        options: Mapping[str, Any] | None = None,
        train_contexts: Iterable[str] = (),
        test_contexts: Iterable[str] = (),
        separator: str = JOINT,
        controls: str | Sequence[str] = (),
        guide: str | None = None,
    ) -> "Split":
        """A checked split of lists from anywhere: `A+B`, `B+A`, `A+ctrl`, or `A_B` with `_`.

        **Arguments:** the fields, as lists of labels; `control` is added to `train`.

        - `separator`: what joins the names of a label.
        - `controls`: the names that stand for "not perturbed", in place of the usual ones.
        - `guide`: the pattern of a guide's name, as in `Columns`: a gene's guides are then one.

        **Raises:** the ValueError of `check`, and one for a combination that is in a list in two
        spellings, for words that mean no label, and for names joined by another sign.
        """

        labels: list[str] = []

        def canonical(some: Iterable[str | Condition]) -> tuple[str, ...]:
            given = some if isinstance(some, str | Condition) else list(some)
            read = parse_labels(given, separator=separator, controls=controls, guide=guide)
            labels.extend(label for label in given if isinstance(label, str))
            return tuple(sorted({condition.name for condition in read.values()}))

        parts = {"train": train, "validation": validation, "test": test, "dropped": dropped}
        read = {part: canonical(some) for part, some in parts.items()}
        # Of all lists together: one may join what another names.
        check_labels([*dict.fromkeys(labels)], separator, Controls.of(controls), (), guide)
        return cls(
            name=name,
            train=tuple(sorted({Condition().name, *read["train"]})),
            validation=read["validation"],
            test=read["test"],
            seed=seed,
            held_out=_distinct(_leakage.gene_of(n, guide) for n in _distinct(held_out)),
            strict=strict,
            groups={group: canonical(names) for group, names in (groups or {}).items()},
            dropped=read["dropped"],
            options=options or {},
            train_contexts=_distinct(train_contexts),
            test_contexts=_distinct(test_contexts),
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Split":
        """Reads what `save` wrote.

        **Raises:** a ValueError if the file is not a split, or was changed since it was saved; an
        OSError that says so if it is not there.
        """
        there = to_read(path, "a split, a JSON file that Split.save wrote")
        try:
            file = json.loads(there.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise ValueError(f"{path} is not a split: it is truncated, or no JSON.") from error
        if not isinstance(file, dict) or file.get("kind") != KIND:
            raise ValueError(f"{path} is not a file that Split.save wrote.")
        if file.get("format") != FORMAT:
            raise ValueError(
                f"{path} has format {file.get('format')!r}; this version reads {FORMAT}."
            )
        content: Any = file.get("split")
        if _digest(content) != file.get("hash"):
            raise ValueError(
                f"{path} was changed after it was saved: its content does not match its hash "
                f"{file.get('hash')!r}. Take it from its source again; for lists of your own, "
                "make a split with Split.of and save that."
            )
        try:
            return _from_plain(content)
        except (TypeError, AttributeError) as error:  # a hash that was made to fit
            raise ValueError(f"{path} does not hold the fields of a split: {error}.") from error

    @property
    def hash(self) -> str:
        """The first 16 digits of the SHA-256 of the whole content, name and options included."""
        return _digest(self._plain())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the split as JSON; never half a file."""
        file = {"kind": KIND, "format": FORMAT, "hash": self.hash, "split": self._plain()}
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(file, indent=1) + "\n", encoding="utf-8")

    def check(self) -> None:
        """Raises one ValueError that names every leak; a split is checked when it is made.

        - Names are canonical, sorted and distinct; `control` is in `train` alone; `train` and
            `test` each have a perturbation.
        - No condition is in two of `train`, `validation`, `test` and `dropped`. Only if
            `train_contexts` and `test_contexts` are disjoint may a condition be tested that is
            trained on, in other contexts.
        - Groups hold test conditions; every held-out name is perturbed somewhere; if `strict`, no
            condition of training or validation touches one.
        """
        parts = self._parts()
        problems = _leakage.malformed(parts)
        if not problems:
            problems = [
                *_leakage.incomplete(parts),
                *_leakage.overlaps(parts, across_contexts=self._across_contexts),
                *_leakage.false_claims(parts, self.held_out, strict=self.strict),
                *_leakage.wrong_groups(self.groups, self.test),
            ]
        for what in CONTEXTS:
            if list(getattr(self, what)) != sorted(set(getattr(self, what))):
                problems.append(f"`{what}` is not sorted, or has a name twice.")
        if problems:
            raise ValueError(f"The split {self.name!r} cannot be used. " + " ".join(problems))

    def leaks(self) -> dict[str, tuple[str, ...]]:
        """The conditions of training and validation that show something claimed to be unseen.

        Claimed unseen are the names in `held_out` and those that a test condition perturbs alone
        (the latter not if the test is in other contexts). A strict split can leak the latter only.
        Names that read like guides, such as `KLF1_2`, show what another guide of their gene does:
        read such labels by gene (`Columns.guide`, or `guide` of `Split.of`), and none is left.

        **Returns:** for each such condition the claimed names that it perturbs, or whose gene it
        perturbs by another guide, which is not an error: published protocols do it.
        """
        claimed, tests = set(self.held_out), ()
        if not self._across_contexts:
            claimed, tests = claimed | _leakage.single_names(self.test), self.test
        shown = (*self.train, *self.validation)
        direct = _leakage.touched(shown, claimed)
        guides = _leakage.guides_shared(shown, claimed, tests)
        both = {name: (*direct.get(name, ()), *guides.get(name, ())) for name in shown}
        return {name: tuple(sorted(own)) for name, own in both.items() if own}

    def without(self, conditions: Iterable[str | Condition]) -> "Split":
        """The split without some conditions, which are then among the dropped ones.

        What a screen lost in preparation, say. Held-out names that nothing perturbs any more go.

        **Arguments:** `conditions`, in any spelling, of which some may be in no part.

        **Raises:** the ValueError of `check`, if nothing is left to train on or to test.
        """
        lost = {condition.name for condition in parse_labels(conditions).values()}
        kept = lambda names: tuple(name for name in names if name not in lost)
        parts = {part: kept(names) for part, names in self._parts().items()}
        left = [name for part in parts.values() for name in part]
        gone = [name for part in PARTS for name in getattr(self, part) if name in lost]
        perturbed = set().union(*_leakage.touched(left, self.held_out).values())
        return dataclasses.replace(
            self,
            **(parts | {"dropped": tuple(sorted({*self.dropped, *gone}))}),
            held_out=tuple(name for name in self.held_out if name in perturbed),
            groups={group: kept(names) for group, names in self.groups.items()},
        )

    def cells(self, screen: Screen, *parts: str) -> Screen:
        """The cells of some parts, with the controls.

        Cells of `train` and `validation` are those in `train_contexts`, cells of `test` those in
        `test_contexts`; controls are kept in both, whichever parts are asked for, since predictions
        start from them. Other contexts are left out, and so are the conditions of no asked part.

        **Arguments:** `parts`, of "train", "validation", "test".

        **Raises:** a ValueError that names the conditions which the screen lacks (in those
        contexts), contexts that it lacks, or parts without any condition.
        """
        contexts = {
            "train": self.train_contexts,
            "validation": self.train_contexts,
            "test": self.test_contexts,
        }
        unknown = [part for part in parts if part not in contexts]
        if unknown or not parts:
            raise ValueError(f"Choose from the parts {tuple(contexts)}; got {parts}.")
        # An empty side means every context, and so does its union with the other.
        both = self.train_contexts and self.test_contexts
        kept = tuple({*self.train_contexts, *self.test_contexts}) if both else ()
        wanted = [(getattr(self, part), contexts[part]) for part in parts]
        if not any(names for names, _ in wanted):
            raise ValueError(f"The split {self.name!r} has no condition in {' and '.join(parts)}.")
        return cells_of(screen, wanted, kept)

    @property
    def _across_contexts(self) -> bool:
        train, test = set(self.train_contexts), set(self.test_contexts)
        return bool(train and test) and train.isdisjoint(test)

    def _parts(self) -> dict[str, tuple[str, ...]]:
        return {part: getattr(self, part) for part in PARTS}

    def _plain(self) -> dict[str, Any]:
        return {f.name: _thaw(getattr(self, f.name)) for f in dataclasses.fields(self)}


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ValueError(f"A list of names is needed, not the one name {names!r}.")
    return tuple(sorted(set(tidied(tuple(names)))))


def _from_plain(content: dict[str, Any]) -> Split:
    return Split(**_freeze(content, "split"))


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _freeze(value: Any, where: str) -> Any:
    """A read-only copy of a plain value.

    **Raises:** a ValueError for what JSON does not know: arrays, sets, NaN, keys that are no text.
    """
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise ValueError(f"`{where}` has keys that are not text: {examples(wrong)}.")
        return MappingProxyType({str(k): _freeze(v, f"{where}.{k}") for k, v in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_freeze(item, where) for item in value)
    if value is None or isinstance(value, bool):
        return value
    # NumPy's texts and doubles are among them, and become plain.
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise ValueError(f"`{where}` must be a plain value, not {value!r} ({type(value).__name__}).")


def _thaw(value: Any) -> Any:
    """The same as dictionaries and lists, for JSON."""
    if isinstance(value, Mapping):
        return {key: _thaw(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_thaw(item) for item in value]
    return value
