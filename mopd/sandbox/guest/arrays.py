"""NumPy's values between two interpreters, where programs may import it: numbers are copied, arrays are kept alike.

Runs inside the sandbox; NumPy is used where the program or its tests have imported it, and not imported before.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def is_array(value: Any) -> bool:
    """Whether a value is a plain array of numbers, text or times."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and not value.dtype.hasobject


def is_number(value: Any) -> bool:
    """Whether a value is a NumPy scalar."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic) and not value.dtype.hasobject


def array_form(array: Any) -> tuple[str, tuple[int, ...]]:
    """The type of an array's items, as NumPy writes it, and its shape."""
    return array.dtype.str, array.shape


def new_array(dtype: str, shape: tuple[int, ...]) -> Any:
    """An array to be filled."""
    return importlib.import_module("numpy").zeros(shape, dtype=dtype)


def fill_array(array: Any, data: bytes) -> None:
    """Gives an array other contents in place."""
    array[...] = importlib.import_module("numpy").frombuffer(data, dtype=array.dtype).reshape(array.shape)


def number_parts(number: Any) -> tuple[str, bytes]:
    """What a scalar is made of."""
    return number.dtype.str, number.tobytes()


def new_number(dtype: str, data: bytes) -> Any:
    """The scalar that is made of these parts."""
    return importlib.import_module("numpy").frombuffer(data, dtype=dtype)[0]
