"""Tables in PyTorch's files, loaded as weights only: nothing that the file names is run."""

import pathlib
import re
from typing import Any

import numpy as np
from jaxtyping import Num

from ._named_vectors import named_vectors


def read_torch(
    path: pathlib.Path, names: str, vectors: str
) -> tuple[list[str], Num[np.ndarray, "rows features"]]:
    """The labels and rows of a `.pt` or `.pth` file.

    **Arguments:** `path`; `names` and `vectors`, the keys of the two where they lie side by side.

    **Returns:** the labels as they are written, and a row of numbers for each.

    **Raises:** `ImportError` without PyTorch; `ValueError` for a file that is broken, or needs more
    than its weights-only load.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            f"{path}: files of PyTorch are read with PyTorch, which is not installed. Install "
            "'scbig-jax[torch]', or save the table as npz."
        ) from error
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6):
        raise ImportError(
            f"{path}: the weights-only load of PyTorch {torch.__version__} can be made to run "
            "code. Install 'scbig-jax[torch]', which asks for 2.6 or newer."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a hostile or broken file makes of the loader
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = (
            f"it asks for {named[1]}, which is neither a tensor nor a plain container. Save the "
            "table as a dict from name to tensor, or as npz"
            if named
            else f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": .")
        )
        raise ValueError(f"{path} cannot be read by PyTorch as weights only: {reason}.") from error
    return named_vectors(path, content, names, vectors, _as_array)


def _as_array(value: Any) -> Any:
    """A dense tensor of real numbers as an array; half precision becomes single."""
    import torch  # pyright: ignore[reportMissingImports]

    if not isinstance(value, torch.Tensor):
        return value
    dense = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    if not dense or value.dtype == torch.bool or value.is_complex():
        return value
    value = value.detach()
    if value.is_floating_point() and value.dtype != torch.float64:
        value = value.float()
    try:
        return value.numpy()
    except (TypeError, RuntimeError):  # a type that NumPy lacks
        return value
