"""Tables in pickle files, of which only arrays and plain containers are ever built.

A pickle is a program: it names functions and calls them. Here no name leads to the function that it
names. The few that arrays and containers need lead to functions of this file, which build plain
values and check what they are given; every other name is refused. NumPy's own functions are not
used either, since they trust a pickle's word for where an array lies in memory.
"""

import copyreg
import math
import pathlib
import pickle  # noqa: TID251 - only here, and only with the names that are admitted below
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Num, Shaped

from ._named_vectors import named_vectors


def read_pickle(
    path: pathlib.Path, names: str, vectors: str
) -> tuple[list[str], Num[np.ndarray, "rows features"]]:
    """The labels and rows of a `.pkl` or `.pickle` file.

    **Arguments:** `path`; `names` and `vectors`, the keys of the two where they lie side by side.

    **Returns:** the labels as they are written, and a row of numbers for each.

    **Raises:** `ValueError` for a file that is broken, or names anything but arrays and containers.
    """
    # An extension code of the file would otherwise reach objects that another pickle left there.
    copyreg.clear_extension_cache()
    try:
        with path.open("rb") as file:
            content = _PlainUnpickler(file).load()
    except Exception as error:  # whatever a hostile or broken file makes of the unpickler
        kind = "" if isinstance(error, pickle.UnpicklingError) else f"{type(error).__name__}: "
        reason = f"{kind}{error}".rstrip(": .")
        raise ValueError(f"{path} cannot be read as a pickle of plain data: {reason}.") from error
    return named_vectors(path, content, names, vectors, _as_array)


def _as_array(value: Any) -> Any:
    """An array that was built, as NumPy's; anything else as it is."""
    return value.values if isinstance(value, _Array) else value


class _PlainUnpickler(pickle.Unpickler):
    """Knows the names below and no others."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The stand-in for a name; never an import."""
        admitted = _ADMITTED.get((module_name, global_name))
        if admitted is None:
            raise _refused(
                f"it asks for {module_name}.{global_name}, which is neither a NumPy array nor a "
                "plain container. If you trust its source, load it there and save it as npz"
            )
        return admitted


class _Admitted:
    """What a pickle may call. Its state cannot be set, as that of a function could be."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _refused("it sets the state of a function")


class _Dtype:
    """The type of an array's entries: numbers, text, or (of lists of text) objects."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[fiub][1248]|[US]\d{1,6}|O8?", code):
            raise _refused(f"it has entries of the NumPy type {_shown(code)}")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        plain = isinstance(state, tuple) and len(state) == 8 and state[1] in ("<", ">", "|", "=")
        if not plain or state[2:5] != (None, None, None):
            raise _refused("it has entries of a structured NumPy type")
        self.order = state[1]


class _Array:
    """An array that is being built: NumPy's pickles make it first and fill it later."""

    __slots__ = ("values",)

    def __init__(self, values: Shaped[np.ndarray, "..."] | None = None) -> None:
        self.values = values

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _refused("it has an array in a form that is not known")
        _, shape, dtype, fortran, data = state
        self.values = _filled(shape, dtype, bool(fortran), data)


def _filled(shape: object, dtype: object, fortran: bool, data: object) -> Shaped[np.ndarray, "..."]:
    """An array of this shape, after checking that the data are exactly its entries."""
    if not isinstance(shape, tuple) or len(shape) > 32 or not isinstance(dtype, _Dtype):
        raise _refused("it has an array without a shape and a type")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise _refused("it has an array of an impossible shape")
    count, order = math.prod(shape), "F" if fortran else "C"
    if dtype.code.startswith("O"):
        if not isinstance(data, list) or len(data) != count or {*map(type, data)} - {str}:
            raise _refused("it has an array of objects other than text")
        return np.array(data, np.str_).reshape(shape, order=order)
    kind = np.dtype(dtype.order.replace("|", "=") + dtype.code)
    if not isinstance(data, (bytes, bytearray)) or len(data) != count * kind.itemsize:
        raise _refused(f"it has an array of shape {shape} whose entries are not all there")
    values = np.frombuffer(data, kind) if count else np.empty(0, kind)
    if kind.kind == "U":
        values.tolist()  # fails here if the bytes are no text
    return values.reshape(shape, order=order)


def _reconstruct(kind: object, *_: object) -> _Array:
    if kind is not _ARRAY_TYPE:
        raise _refused("it has an array of another class than ndarray")
    return _Array()


def _from_buffer(data: object, dtype: object, shape: object, order: object, *_: object) -> _Array:
    if order not in ("C", "F"):
        raise _refused(f"it has an array in the order {_shown(order)}")
    return _Array(_filled(shape, dtype, order == "F", data))


def _scalar(dtype: object, data: object) -> Any:
    return _filled((), dtype, False, data).item()


def _encoded(text: object, encoding: object = None) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _refused("it has bytes in a form that is not known")
    return text.encode("latin-1")


def _collected(build: type, parts: tuple[type, ...]) -> Callable[..., Any]:
    """A builder of an empty container, or of one from a plain list or the like."""

    def collect(*arguments: Any) -> Any:
        if len(arguments) > 1 or not all(type(given) in parts for given in arguments):
            raise _refused(f"it builds a {build.__name__} from something else than plain data")
        return build(*arguments)

    return collect


def _not_called(*_: object) -> Any:
    raise _refused("it makes an array without its entries")


def _shown(value: object) -> str:
    """A short text for a message; of what may be without end, only the type."""
    return repr(value[:40]) if isinstance(value, str) else type(value).__name__


def _refused(why: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(why)


_ARRAY_TYPE = _Admitted(_not_called)
_CORES = ("numpy.core", "numpy._core")  # NumPy 1, and NumPy 2
_ADMITTED = {
    ("numpy", "ndarray"): _ARRAY_TYPE,
    ("numpy", "dtype"): _Admitted(_Dtype),
    **{(f"{core}.multiarray", "_reconstruct"): _Admitted(_reconstruct) for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _Admitted(_scalar) for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _Admitted(_from_buffer) for core in _CORES},
    ("_codecs", "encode"): _Admitted(_encoded),
    # As a plain dict, since attributes can be set on an OrderedDict, such as its own methods.
    ("collections", "OrderedDict"): _Admitted(_collected(dict, (list, tuple))),
    **{
        (module, build.__name__): _Admitted(_collected(build, parts))
        for module in ("builtins", "__builtin__")  # the latter up to protocol 2
        for build, parts in (
            (bytes, ()),
            (bytearray, (bytes,)),
            (set, (list, tuple)),
            (frozenset, (list, tuple)),
        )
    },
}
