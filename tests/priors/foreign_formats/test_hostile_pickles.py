"""Pickles that name more than arrays and plain containers: nothing of them is run."""

import copyreg
import fractions
import functools
import pickle  # noqa: TID251 - to make the files that are read
import re
import sys

import numpy as np
import pytest

from .test_pickled_tables import NAMES, VECTORS, read, table


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def pushed(*values) -> bytes:
    """Plain values on the stack of a pickle."""
    return b"".join(pickle.dumps(value, 2)[2:-1] for value in values)


def called(module: str, name: str, *arguments) -> bytes:
    """A pickle that calls something by its name."""
    return b"\x80\x04" + named(module, name) + b"(" + pushed(*arguments) + b"tR."


def live_payloads(mark: str) -> list[tuple[str, str, bytes]]:
    """Calls that leave a file behind wherever they run."""
    code = f"open({mark!r}, 'w').close()"
    calls = [
        ("os", "system", f"touch {mark}"),
        ("posix", "system", f"touch {mark}"),
        ("subprocess", "getoutput", f"touch {mark}"),
        ("builtins", "eval", code),
        ("builtins", "exec", code),
        ("numpy", "savetxt", mark, [1]),
        ("numpy", "memmap", mark, "float32", "w+", 0, (1,)),
        ("numpy.testing._private.utils", "runstring", code, {}),
    ]
    return [(module, name, called(module, name, *given)) for module, name, *given in calls]


@pytest.mark.parametrize("which", range(8))
def test_what_would_run_is_refused_by_name(which, tmp_path):
    mark = tmp_path / "ran"
    module, name, content = live_payloads(str(mark))[which]
    with pytest.raises(ValueError, match=re.escape(f"it asks for {module}.{name}, which is")):
        read(tmp_path / "x.pkl", content)
    assert not mark.exists()
    pickle.loads(content)  # it would have
    assert mark.exists()


FORBIDDEN = [
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("builtins", "type"),
    ("builtins", "dict"),
    ("builtins", "complex"),
    ("numpy", "load"),
    ("numpy", "fromfile"),
    ("numpy", "ndarray.__class__"),
    ("numpy", "dtype.__init__"),
    ("numpy.lib._npyio_impl", "load"),
    ("numpy.f2py.crackfortran", "getlincoef"),
    ("numpy", "matrix"),
    ("numpy", "recarray"),
    ("numpy._core.multiarray", "fromstring"),
    ("numpy._core.multiarray", "_reconstruct.__globals__"),
    ("functools", "partial"),
    ("operator", "attrgetter"),
    ("operator", "methodcaller"),
    ("copyreg", "_reconstructor"),
    ("copyreg", "__newobj__"),
    ("copyreg", "add_extension"),
    ("collections", "defaultdict"),
    ("pickle", "loads"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("scbig.priors._foreign_formats._read_pickle", "read_pickle"),
]


@pytest.mark.parametrize(("module", "name"), FORBIDDEN)
def test_all_else_is_refused_by_name(module, name, tmp_path):
    for content in (
        called(module, name),
        b"\x80\x04" + named(module, name) + b")\x81.",  # made with __new__
        b"\x80\x04" + named(module, name) + b"}" + b"b.",  # given a state
        b"\x80\x04" + named(module, name) + b".",  # only named
        f"c{module}\n{name}\n.".encode(),
        f"(i{module}\n{name}\n.".encode(),
        f"(c{module}\n{name}\no.".encode(),
    ):
        with pytest.raises(ValueError, match=re.escape(f"it asks for {module}.{name}, which")):
            read(tmp_path / "x.pkl", content)


class Record:
    """A class of a user's own."""


class Subclass(np.ndarray):
    """An array that is more than an array."""


class Named(dict):
    """A dict that is more than a dict."""


OBJECTS = {
    "a class": (Record, "Record"),
    "an instance": ({"A": Record()}, "(copy_?reg|Record)"),
    "a function": ({"A": np.array([len], object)}, r"(builtins|__builtin__)\.len"),
    "a partial": (functools.partial(print, "x"), "functools.partial"),
    "an array's class": ({"A": VECTORS[0].view(Subclass)}, "Subclass"),
    "a mask": ({"A": np.ma.masked_array(VECTORS[0])}, r"numpy\.ma"),
    "a dict's class": (Named(A=1), "(copy_?reg|Named)"),
    "a fraction": ({"A": [fractions.Fraction(1, 2)]}, "fractions.Fraction"),
    "objects": ({"A": np.array([1.0, None], object)}, "array of objects other than text"),
    "dates": ({"A": np.array(["2020-01-01"], "M8[D]")}, "NumPy type 'M8'"),
    "records": ({"A": np.zeros(1, [("x", "f4")])}, "NumPy type 'V4'"),
    "long doubles": ({"A": np.zeros(1, np.longdouble)}, "NumPy type 'f16'"),
    "a type with notes": ({"A": np.zeros(1, np.dtype("f4", metadata={"a": 1}))}, "structured"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("what", OBJECTS)
# NumPy says that notes on a type are lost; they are what this file is about.
@pytest.mark.filterwarnings("ignore:metadata on a dtype")
def test_other_objects_are_refused(what, protocol, tmp_path):
    content, message = OBJECTS[what]
    with pytest.raises(ValueError, match=rf"a pickle of plain data: it .*{message}"):
        read(tmp_path / "x.pkl", pickle.dumps(content, protocol))


def test_a_module_that_is_named_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "a_trap_for_pickles.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"a_trap_for_pickles\.x"):
        read(tmp_path / "x.pkl", called("a_trap_for_pickles", "x"))
    assert not (tmp_path / "ran").exists()
    assert "a_trap_for_pickles" not in sys.modules


def test_an_extension_code_reaches_nothing(tmp_path):
    """Python's unpickler hands out what a code once meant without asking for its name again."""
    mark = tmp_path / "ran"
    content = b"\x80\x02\x82\xf0" + b"(" + pushed(f"touch {mark}") + b"tR."
    copyreg.add_extension("os", "system", 0xF0)
    try:
        pickle.loads(b"\x80\x02\x82\xf0.")  # what another file of this process may have done
        with pytest.raises(ValueError, match=r"os\.system"):
            read(tmp_path / "x.pkl", content)
        assert not mark.exists()
    finally:
        copyreg.remove_extension("os", "system", 0xF0)
        copyreg.clear_extension_cache()


MULTIARRAY, NUMERIC = "numpy._core.multiarray", "numpy._core.numeric"


def dtype(code: object, state: object = (3, "<", None, None, None, -1, -1, 0)) -> bytes:
    return named("numpy", "dtype") + b"(" + pushed(code, False, True) + b"tR" + pushed(state) + b"b"


MADE = named(MULTIARRAY, "_reconstruct") + b"("
ARRAY = MADE + named("numpy", "ndarray") + pushed((0,), 0) + b"tR"


def array(shape: object, kind: bytes, data: object) -> bytes:
    return ARRAY + b"(" + pushed(1, shape) + kind + pushed(False, data) + b"tb"


def one(value: bytes) -> bytes:
    return b"\x80\x04}" + text("A") + value + b"s."


def test_the_hand_made_array_is_one(tmp_path):
    content = one(array((2,), dtype("f4"), np.arange(2, dtype="f4").tobytes()))
    np.testing.assert_array_equal(read(tmp_path / "x.pkl", content).vectors, [[0, 1]])


OBJECT = (3, "|", None, None, None, -1, -1, 63)
TRICKS = {
    # Memory that is not there, or addresses in place of objects.
    "too few bytes": (array((9,), dtype("f4"), bytes(8)), "not all there"),
    "too many bytes": (array((1,), dtype("f4"), bytes(8)), "not all there"),
    "negative": (array((-1,), dtype("f4"), bytes(8)), "impossible shape"),
    "large": (array((2**62, 8), dtype("f4"), bytes(8)), "not all there"),
    "no shape": (array(2, dtype("f4"), bytes(8)), "without a shape and a type"),
    "a truth as size": (array((True,), dtype("f4"), bytes(4)), "impossible shape"),
    "no type": (array((1,), pushed("f4"), bytes(4)), "without a shape and a type"),
    "addresses": (array((1,), dtype("O8", OBJECT), bytes(8)), "objects other than text"),
    "objects that are none": (
        array((1,), dtype("O8", (3, "|", None, None, None, 8, 8, 0)), bytes(8)),
        "objects other than text",
    ),
    "fields": (
        array((1,), dtype("V8", (3, "|", None, ("x",), {"x": ("O", 0)}, 8, 1, 0)), bytes(8)),
        "NumPy type 'V8'",
    ),
    "fields of numbers": (dtype("f8", (3, "<", None, ("x",), {}, 8, 1, 0)), "structured"),
    "parts": (dtype("f8", (3, "<", ("f4", 2), None, None, 8, 1, 0)), "structured"),
    "a short state": (dtype("f8", (3, "<")), "structured"),
    "a type of a type": (dtype(("f4", (2,))), "NumPy type tuple"),
    "a long type": (dtype("f4," * 99), "NumPy type 'f4,f4,"),
    "half an array": (ARRAY + pushed((1, (1,))) + b"b", "form that is not known"),
    "an empty array": (ARRAY, r"no vectors of real numbers: 'A \(NoneType\)'"),
    # Functions in place of data, and states of functions.
    "a function's state": (
        named("_codecs", "encode") + b"N}" + text("__defaults__") + pushed((1,)) + b"s\x86b",
        "state of a function",
    ),
    "a class's state": (named("numpy", "dtype") + b"}b", "state of a function"),
    "an array class that is called": (
        named("numpy", "ndarray") + b"(" + pushed((1,)) + b"tR",
        "without its entries",
    ),
    "another class": (
        MADE + named("numpy", "dtype") + pushed((0,), 0) + b"tR",
        "another class than ndarray",
    ),
    "a scalar of objects": (
        named(MULTIARRAY, "scalar") + b"(" + dtype("O8", OBJECT) + pushed([]) + b"tR",
        "objects other than text",
    ),
    "an order": (
        named(NUMERIC, "_frombuffer") + b"(" + pushed(bytes(8)) + dtype("f4") + pushed((2,), "K")
        + b"tR",
        "order 'K'",
    ),
    "a codec": (named("_codecs", "encode") + b"(" + pushed("x", "rot13") + b"tR", "it has bytes"),
    "many bytes": (named("builtins", "bytes") + b"(" + pushed(9) + b"tR", "builds a bytes"),
    "a lasting id": (pushed("x") + b"Q", "persistent"),
    "no text": (array((1,), dtype("U1"), b"\xff\xff\xff\xff"), "cannot be read as a pickle"),
}  # fmt: skip


@pytest.mark.parametrize("what", TRICKS)
def test_tricks_with_what_is_admitted(what, tmp_path):
    value, message = TRICKS[what]
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "x.pkl", one(value))
    # And they leave nothing behind.
    assert read(tmp_path / "x.pkl", pickle.dumps(table(), 2)).names == NAMES


def test_attributes_cannot_be_set_on_an_ordered_dict(tmp_path):
    """It comes back as a plain dict, which has none, so its own methods stay what they are."""
    made = named("collections", "OrderedDict") + b")R" + text("A") + pushed([1.0]) + b"s"
    assert read(tmp_path / "x.pkl", b"\x80\x04" + made + b".").names == ("A",)
    with pytest.raises(ValueError, match="cannot be read as a pickle"):
        read(tmp_path / "x.pkl", b"\x80\x04" + made + b"}" + text("items") + pushed(1) + b"sb.")
