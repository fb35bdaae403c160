"""Tests that run in a sandbox of their own mean what Python says, though the program is in another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from mopd.errors import InputError
from mopd.sandbox import Limits, Outcome, Sandbox, open_sandbox
from mopd.settings.verify import VerifySettings

LIMITS = Limits(cpu_seconds=3.0)
VALUES = [
    ("map", "map(int, ['1', '2'])", "assert list(got) == [1, 2]"),
    ("zip", "zip([1], [2])", "assert list(got) == [(1, 2)]"),
    ("generator", "(i for i in [1, 2])", "assert sum(got) == 3"),
    ("generator_next", "(i for i in [1])", "assert next(got) == 1\nassert next(got, None) is None"),
    ("iterator_twice", "iter([1, 2])", "assert iter(got) is got\nassert list(got) == [1, 2]\nassert list(got) == []"),
    ("range", "range(3)", "assert got == range(3)\nassert len(got) == 3\nassert got[1] == 1"),
    ("keys", "{1: 2}.keys()", "assert list(got) == [1]\nassert got == {1}"),
    ("items", "{1: 2}.items()", "assert list(got) == [(1, 2)]"),
    ("deque", "__import__('collections').deque([1, 2], 5)", "got.append(3)\nassert list(got) == [1, 2, 3]"),
    ("counter", "__import__('collections').Counter('aab')", "assert got == {'a': 2, 'b': 1}\nassert got['z'] == 0"),
    ("defaultdict", "__import__('collections').defaultdict(list)", "got[1].append(2)\nassert got == {1: [2]}"),
    ("ordered", "__import__('collections').OrderedDict(a=1, b=2)", "assert list(got) == ['a', 'b']"),
    (
        "namedtuple",
        "__import__('collections').namedtuple('P', 'a b')(1, 2)",
        "assert got == (1, 2)\nassert got.a == 1 and got.b == 2\nassert repr(got) == 'P(a=1, b=2)'\nassert got[0] == 1",
    ),
    ("int_enum", "__import__('enum').IntEnum('E', 'A B').B", "assert got == 2\nassert got.name == 'B'\nassert got < 3"),
    ("enum", "__import__('enum').Enum('E', 'A B').B", "assert got.name == 'B' and got.value == 2\nassert got is got"),
    ("date", "__import__('datetime').date(2020, 1, 2)", "assert str(got) == '2020-01-02'\nassert got.year == 2020"),
    ("timedelta", "__import__('datetime').timedelta(days=2)", "assert got.total_seconds() == 172800"),
    ("big_integer", "10 ** 6000 + 1", "assert got == 10 ** 6000 + 1\nassert got % 10 == 1"),
    ("nan", "float('nan')", "assert got != got"),
    ("complex", "1 + 2j", "assert abs(got - (1 + 2j)) == 0"),
    ("decimal", "__import__('decimal').Decimal('1.10')", "assert str(got) == '1.10'"),
    ("set", "{1, 2}", "assert got == {2, 1}\ngot.add(3)\nassert 3 in got"),
    ("match", "__import__('re').match('(a)(b)', 'abc')", "assert got.group(2) == 'b'\nassert got[1] == 'a'"),
    ("function", "lambda x: x + 1", "assert got(2) == 3\nassert callable(got)"),
    ("closure", "sorted", "assert got([2, 1]) == [1, 2]"),
    ("type", "int", "assert got is int\nassert got('3') == 3"),
    ("none", "None", "assert got is None"),
    ("not_implemented", "NotImplemented", "assert got is NotImplemented"),
    ("nested", "[{'a': (1, [2, {3}])}]", "assert got == [{'a': (1, [2, {3}])}]"),
    ("path", "__import__('pathlib').PurePosixPath('a/b')", "assert got.name == 'b'\nassert str(got) == 'a/b'"),
    ("io", "__import__('io').StringIO('a\\nb')", "assert got.read() == 'a\\nb'"),
    ("fraction", "__import__('fractions').Fraction(1, 3)", "assert got * 3 == 1"),
    ("bytearray", "bytearray(b'ab')", "assert got == b'ab'\ngot.append(99)\nassert bytes(got) == b'abc'"),
    ("sets_of_tuples", "{(1, 2), (3, 4)}", "assert (1, 2) in got"),
    ("exception", "ValueError('no')", "assert isinstance(got, ValueError) and got.args == ('no',)"),
    (
        "zone",
        "__import__('datetime').datetime(2020, 1, 2, tzinfo=__import__('datetime').timezone.utc)",
        "assert got.tzinfo",
    ),
    ("partial", "__import__('functools').partial(pow, 2)", "assert got(3) == 8\nassert got.args == (2,)"),
    ("mapping_proxy", "__import__('types').MappingProxyType({1: 2})", "assert got == {1: 2}\nassert got[1] == 2"),
    ("array", "__import__('array').array('i', [1, 2])", "assert list(got) == [1, 2]\nassert got[1] == 2"),
    ("long_iterator", "(i for i in range(1000))", "assert sum(got) == 499500"),
    ("empty", "()", "assert got == ()\nassert not got"),
]
"""What a function returns, and what tests may do with it: `got` is the value."""
EFFECTS = {
    "sorted_in_place": ("def f(a):\n    a.sort()", "a = [3, 1, 2]\nf(a)\nassert a == [1, 2, 3]"),
    "dict_changed": ("def f(d):\n    d['x'] = [1]", "d = {}\nf(d)\nassert d == {'x': [1]}"),
    "set_changed": ("def f(s):\n    s.discard(1)", "s = {1, 2}\nf(s)\nassert s == {2}"),
    "nested_changed": ("def f(a):\n    a[0].append(1)", "inner = []\nf([inner])\nassert inner == [1]"),
    "row_of_a_matrix": (
        "def f(m):\n    for row in m:\n        row.reverse()",
        "m = [[1, 2], [3, 4]]\nfirst = m[0]\nf(m)\nassert m == [[2, 1], [4, 3]] and m[0] is first",
    ),
    "returns_its_argument": ("def f(a):\n    a.append(1)\n    return a", "a = []\nassert f(a) is a\nassert a == [1]"),
    "returns_a_copy": ("def f(a):\n    return a + [1]", "a = []\nassert f(a) is not a\nassert a == []"),
    "slice_assignment": ("def f(a):\n    a[:] = [9]", "a = [1, 2]\nb = a\nf(a)\nassert b == [9]"),
    "argument_kept": (
        "kept = []\ndef f(a):\n    kept.append(a)\n    kept[0].append(len(kept))",
        "a = []\nf(a)\nf([])\nassert a == [1, 2]",
    ),
    "changed_by_the_tests_between": (
        "kept = []\ndef f(a):\n    kept.append(a)\n    return sum(kept[0])",
        "a = [1]\nassert f(a) == 1\na.append(5)\nassert f([]) == 6",
    ),
    "state_that_is_shown": (
        "box = []\ndef f():\n    return box",
        "box = f()\nbox.append(1)\nassert f() == [1]\nassert f() is box",
    ),
    "aliased_arguments": ("def f(a, b):\n    a.append(1)\n    return b", "a = []\nassert f(a, a) == [1]"),
    "cycle": ("def f(a):\n    return a[0] is a", "a = []\na.append(a)\nassert f(a)"),
    "default_argument": ("def f(x, seen=[]):\n    seen.append(x)\n    return seen", "f(1)\nassert f(2) == [1, 2]"),
    "deque_argument": (
        "def f(q):\n    q.rotate(1)",
        "from collections import deque\nq = deque([1, 2, 3])\nf(q)\nassert list(q) == [3, 1, 2]",
    ),
    "bytearray_argument": ("def f(b):\n    b[0] = 65", "b = bytearray(b'ab')\nf(b)\nassert b == b'Ab'"),
    "callback": ("def f(g, x):\n    return g(g(x))", "assert f(lambda x: 2 * x, 3) == 12"),
    "callback_with_effects": (
        "def f(g):\n    for x in range(3):\n        g(x)",
        "seen = []\nf(seen.append)\nassert seen == [0, 1, 2]",
    ),
    "callback_raises": (
        "def f(g):\n    try:\n        g()\n    except KeyError:\n        return 'caught'",
        "def g():\n    raise KeyError(1)\nassert f(g) == 'caught'",
    ),
    "callback_raises_through": (
        "def f(g):\n    return g()",
        "class Mine(Exception):\n    pass\ndef g():\n    raise Mine('x')\n"
        "try:\n    f(g)\nexcept Mine as error:\n    assert str(error) == 'x'\nelse:\n    assert False",
    ),
    "callback_of_callback": (
        "def f(g):\n    return g(lambda x: x + 1)",
        "assert f(lambda h: h(h(1))) == 3",
    ),
    "library_function": (
        "def f(g, x):\n    return g(x)",
        "import math\nassert f(math.sqrt, 9) == 3\nassert f(len, 'ab') == 2",
    ),
    "sort_key": ("def f(a, key):\n    return sorted(a, key=key)", "assert f(['bb', 'a'], len) == ['a', 'bb']"),
    "decorator": (
        "import functools\ndef f(g):\n    @functools.wraps(g)\n    def h(*a):\n        return g(*a) + 1\n    return h",
        "@f\ndef two():\n    return 2\nassert two() == 3\nassert two.__name__ == 'two'",
    ),
    "keyword_arguments": ("def f(*args, **kwargs):\n    return args, kwargs", "assert f(1, b=2) == ((1,), {'b': 2})"),
    "object_of_the_tests": (
        "def f(node):\n    node.value += 1\n    return node.next",
        "class Node:\n    def __init__(self, value, next=None):\n        self.value, self.next = value, next\n"
        "last = Node(2)\nfirst = Node(1, last)\nassert f(first) is last\nassert first.value == 2",
    ),
    "sentinel": ("def f(x):\n    return x", "mark = object()\nassert f(mark) is mark"),
    "iterator_of_the_tests": (
        "def f(items):\n    return [next(items), next(items)]",
        "def count():\n    n = 0\n    while True:\n        yield n\n        n += 1\nassert f(count()) == [0, 1]",
    ),
    "with_block": (
        "import contextlib\n@contextlib.contextmanager\ndef f(log):\n    log.append(1)\n    yield 2\n    log.append(3)",
        "log = []\nwith f(log) as got:\n    assert got == 2\nassert log == [1, 3]",
    ),
    "raises": (
        "def f(x):\n    raise ValueError('negative')",
        "try:\n    f(1)\nexcept ValueError as e:\n    assert str(e) == 'negative'",
    ),
    "raises_exit": (
        "import sys\ndef f():\n    sys.exit(3)",
        "try:\n    f()\nexcept SystemExit as e:\n    assert e.code == 3",
    ),
    "key_error": ("def f(x):\n    return {}[x]", "try:\n    f(1)\nexcept KeyError as e:\n    assert e.args == (1,)"),
    "coroutine": ("async def f(x):\n    return x + 1", "import asyncio\nassert asyncio.run(f(1)) == 2"),
    "generator_send": (
        "def f():\n    got = yield 1\n    yield got",
        "g = f()\nassert next(g) == 1\nassert g.send(5) == 5\n"
        "try:\n    g.send(1)\nexcept StopIteration:\n    pass\nelse:\n    assert False",
    ),
    "infinite_generator": (
        "def f():\n    n = 0\n    while True:\n        yield n\n        n += 1",
        "import itertools\nassert list(itertools.islice(f(), 300)) == list(range(300))",
    ),
    "read_ahead_and_given_back": (
        "def f(it=None):\n    return iter(map(abs, range(400))) if it is None else next(it)",
        "it = f()\nfor n in range(200):\n    assert next(it) == n\nassert f(it) == 200\nassert next(it) == 201",
    ),
    "large_argument": (
        "def f(a):\n    a.sort()",
        "a = list(range(30000, 0, -1))\nf(a)\nassert a[0] == 1 and len(a) == 30000",
    ),
    "frozen_argument": ("def f(t):\n    return t[0]", "inner = [1]\nassert f((inner, 2)) is inner"),
    "printing": ("def f():\n    print('x' * 100)\n    return 1", "assert f() == 1"),
    "star_of_result": ("def f():\n    return iter([1, 2])", "a, b = f()\nassert (a, b) == (1, 2)"),
    "copies": (
        "class P:\n    def __init__(self):\n        self.x = [1]\ndef f():\n    return P()",
        "import copy\na = f()\nb = copy.deepcopy(a)\nb.x.append(2)\nassert a.x == [1] and b.x == [1, 2]",
    ),
    "isinstance_of_library_class": (
        "import fractions, collections\ndef f():\n    return iter([])",
        "from collections.abc import Iterator\nassert isinstance(f(), Iterator)",
    ),
    "types_of_functions": (
        "def f():\n    yield 1",
        "import types\nassert isinstance(f(), types.GeneratorType)\nassert callable(f)",
    ),
    "printed_text": (
        "def f(x):\n    print('a', x)\n    print('b')",
        "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    f(1)\n"
        "assert out.getvalue() == 'a 1\\nb\\n'",
    ),
    "printed_in_order": (
        "def f(g):\n    print(1)\n    g()\n    print(3)",
        "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    f(lambda: print(2))\n"
        "assert out.getvalue() == '1\\n2\\n3\\n'",
    ),
    "seeds": (
        "import random\ndef f():\n    return random.random()",
        "import random\nrandom.seed(7)\nfirst = f()\nrandom.seed(7)\nassert f() == first == random.Random(7).random()",
    ),
    "threads_of_the_tests": (
        "def f(x):\n    return x + 1",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as pool:\n    assert list(pool.map(f, range(50))) == list(range(1, 51))",
    ),
    "hash_of_results": ("def f(x):\n    return (x, x)", "assert len({f(1), f(1), f(2)}) == 2"),
}
"""A program that defines f, and tests of it."""
CLASSES = {
    "stack": (
        """
        class f:
            def __init__(self, items=()):
                self.items = list(items)
            def push(self, item):
                self.items.append(item)
                return self
            def pop(self):
                if not self.items:
                    raise IndexError("empty")
                return self.items.pop()
            def __len__(self):
                return len(self.items)
            def __contains__(self, item):
                return item in self.items
            def __iter__(self):
                return iter(self.items)
            def __getitem__(self, place):
                return self.items[place]
            def __repr__(self):
                return f"Stack({self.items})"
        """,
        """
        s = f([1])
        assert s.push(2) is s
        assert len(s) == 2 and list(s) == [1, 2] and s[0] == 1 and s[-1] == 2
        assert 2 in s and 7 not in s
        assert s.items == [1, 2]
        s.items.append(3)
        assert s.pop() == 3
        assert repr(s) == "Stack([1, 2])" and f"{s}" == "Stack([1, 2])"
        assert isinstance(s, f) and type(s) is f and type(s).__name__ == "f"
        s.pop(); s.pop()
        assert not s
        try:
            s.pop()
        except IndexError as error:
            assert str(error) == "empty"
        else:
            assert False
        s.name = "mine"
        assert s.name == "mine" and hasattr(s, "name") and not hasattr(s, "other")
        del s.name
        assert not hasattr(s, "name")
        """,
    ),
    "vector": (
        """
        import functools, math
        @functools.total_ordering
        class f:
            zero = 0
            def __init__(self, x, y):
                self.x, self.y = x, y
            def __add__(self, other):
                return f(self.x + other.x, self.y + other.y)
            def __rmul__(self, k):
                return f(k * self.x, k * self.y)
            def __eq__(self, other):
                return isinstance(other, f) and (self.x, self.y) == (other.x, other.y)
            def __lt__(self, other):
                return abs(self) < abs(other)
            def __hash__(self):
                return hash((self.x, self.y))
            def __abs__(self):
                return math.hypot(self.x, self.y)
            def __bool__(self):
                return bool(self.x or self.y)
            @classmethod
            def unit(cls):
                return cls(1, 0)
            @staticmethod
            def name():
                return "vector"
            @property
            def norm(self):
                return abs(self)
        """,
        """
        assert f(1, 2) + f(3, 4) == f(4, 6)
        assert f(1, 2) != f(1, 3)
        assert 2 * f(1, 2) == f(2, 4)
        assert f(1, 0) < f(2, 0) and f(2, 0) > f(1, 0) and f(1, 0) <= f(1, 0)
        assert max([f(1, 0), f(3, 0), f(2, 0)]).x == 3
        assert [v.x for v in sorted([f(2, 0), f(1, 0)])] == [1, 2]
        assert len({f(1, 2), f(1, 2), f(0, 0)}) == 2
        assert {f(1, 2): "a"}[f(1, 2)] == "a"
        assert abs(f(3, 4)) == 5.0 and f(3, 4).norm == 5.0
        assert not f(0, 0) and f(1, 0)
        assert f.unit() == f(1, 0) and f.name() == "vector" and f.zero == 0
        f.zero = 7
        assert f(0, 0).zero == 7
        assert f(1, 2) in [f(0, 0), f(1, 2)]
        assert f(1, 2) != "x" and f(1, 2) != 5
        """,
    ),
    "number_like": (
        """
        class f(int):
            def __add__(self, other):
                return f((int(self) + int(other)) % 7)
        """,
        """
        assert f(5) + 4 == 2
        assert f(5) == 5 and int(f(3)) == 3 and [0, 1, 2][f(1)] == 1
        assert isinstance(f(5), int) and isinstance(f(5) + 4, f)
        """,
    ),
    "list_like": (
        """
        class f(list):
            def second(self):
                return self[1]
            def append(self, item):
                super().append(item * 2)
        """,
        """
        s = f([1, 2])
        assert s.second() == 2 and len(s) == 2 and s == [1, 2]
        s.append(3)
        assert s == [1, 2, 6] and s[-1] == 6
        s.extend([5])
        assert s.second() == 2 and list(s) == [1, 2, 6, 5]
        assert isinstance(s, list) and sorted(s) == [1, 2, 5, 6]
        """,
    ),
    "dict_like": (
        """
        class f(dict):
            def __missing__(self, key):
                return key * 2
            def __getattr__(self, name):
                return self[name]
        """,
        """
        d = f(a=1)
        assert d["a"] == 1 and d["zz"] == "zzzz" and d == {"a": 1}
        d["b"] = 2
        assert d.b == 2 and dict(d) == {"a": 1, "b": 2}
        """,
    ),
    "dataclass": (
        """
        from dataclasses import dataclass, field
        @dataclass(order=True)
        class f:
            x: int
            tags: list = field(default_factory=list)
        """,
        """
        assert f(1) == f(1) and f(1) != f(2) and f(1) < f(2)
        assert repr(f(1)) == "f(x=1, tags=[])"
        p = f(1)
        p.tags.append("t")
        assert p.tags == ["t"] and f(1).tags == []
        """,
    ),
    "iterator_class": (
        """
        class f:
            def __init__(self, n):
                self.n = n
            def __iter__(self):
                return self
            def __next__(self):
                if self.n == 0:
                    raise StopIteration
                self.n -= 1
                return self.n
        """,
        "assert list(f(3)) == [2, 1, 0]\nassert [x for x in f(2)] == [1, 0]\nassert next(f(0), 'end') == 'end'",
    ),
    "enumeration": (
        """
        import enum
        class f(enum.Enum):
            RED = 1
            BLUE = 2
            @property
            def low(self):
                return self.name.lower()
        """,
        """
        assert f.RED.value == 1 and f(2) is f.BLUE and f["RED"] is f.RED
        assert [c.name for c in f] == ["RED", "BLUE"] and len(f) == 2
        assert f.RED.low == "red" and f.RED == f.RED and f.RED != f.BLUE and f.RED in f
        assert {f.RED: 1}[f.RED] == 1 and isinstance(f.RED, f) and str(f.RED) == "f.RED"
        try:
            f(9)
        except ValueError:
            pass
        else:
            assert False
        """,
    ),
    "error_class": (
        """
        class f(ValueError):
            def __init__(self, message, code):
                super().__init__(message)
                self.code = code
        """,
        """
        assert issubclass(f, ValueError)
        try:
            raise f("bad", 7)
        except ValueError as error:
            assert error.code == 7 and str(error) == "bad"
        """,
    ),
    "context_manager": (
        """
        class f:
            def __enter__(self):
                self.open = True
                return self
            def __exit__(self, kind, error, trace):
                self.open = False
                return kind is ValueError
        """,
        """
        with f() as c:
            assert c.open
        assert not c.open
        with f():
            raise ValueError("swallowed")
        try:
            with f():
                raise KeyError(1)
        except KeyError:
            pass
        else:
            assert False
        """,
    ),
    "inheritance": (
        """
        class Animal:
            def __init__(self, name):
                self.name = name
            def speak(self):
                raise NotImplementedError
        class f(Animal):
            def speak(self):
                return self.name + " says woof"
        """,
        """
        assert f("Rex").speak() == "Rex says woof"
        assert f.__name__ == "f" and [base.__name__ for base in f.__mro__][:2] == ["f", "Animal"]
        assert isinstance(f("x"), f.__mro__[1])
        """,
    ),
    "callable_object": (
        "class f:\n    def __call__(self, x):\n        return x + 1",
        "assert f()(1) == 2 and callable(f())",
    ),
    "linked_names": (
        "class f:\n    def __init__(self):\n        self._link, self._number, self.number = 1, 2, 3",
        "n = f()\nassert (n._link, n._number, n.number) == (1, 2, 3)\n"
        "assert vars(n) == {'_link': 1, '_number': 2, 'number': 3}",
    ),
    "observer": (
        """
        class f:
            def __init__(self):
                self.listeners = []
            def on(self, listener):
                self.listeners.append(listener)
            def fire(self, *args):
                return [listener(*args) for listener in self.listeners]
        """,
        """
        seen = []
        e = f()
        e.on(seen.append)
        e.on(lambda x: x * 2)
        assert e.fire(4) == [None, 8] and seen == [4]
        """,
    ),
    "lru": (
        """
        from collections import OrderedDict
        class f:
            def __init__(self, size):
                self.size, self.data = size, OrderedDict()
            def get(self, key):
                if key not in self.data:
                    return -1
                self.data.move_to_end(key)
                return self.data[key]
            def put(self, key, value):
                self.data[key] = value
                self.data.move_to_end(key)
                if len(self.data) > self.size:
                    self.data.popitem(last=False)
        """,
        """
        c = f(2)
        c.put(1, 1); c.put(2, 2)
        assert c.get(1) == 1
        c.put(3, 3)
        assert c.get(2) == -1 and c.get(3) == 3 and list(c.data) == [1, 3]
        """,
    ),
    "async_class": (
        """
        class f:
            async def get(self):
                return 5
            async def __aenter__(self):
                return self
            async def __aexit__(self, *args):
                self.closed = True
            async def items(self):
                for n in range(3):
                    yield n
        """,
        """
        import asyncio
        async def main():
            async with f() as c:
                assert await c.get() == 5
            assert c.closed
            return [n async for n in c.items()]
        assert asyncio.run(main()) == [0, 1, 2]
        """,
    ),
}
"""A program that defines the class f, and tests of it."""
SAMPLES: dict[str, tuple[str, str]] = {
    **{f"value_{name}": (f"def f():\n    return {value}", f"got = f()\n{tests}") for name, value, tests in VALUES},
    **{f"effect_{name}": pair for name, pair in EFFECTS.items()},
    **{f"class_{name}": pair for name, pair in CLASSES.items()},
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A real one that isolates; another where none does."""
    try:
        opened = open_sandbox(VerifySettings(sandbox_slots=1))
    except InputError:
        opened = open_sandbox(VerifySettings(sandbox="unsafe_subprocess", sandbox_slots=1))
    with opened:
        yield opened


def run(sandbox: Sandbox, program: str, tests: str, further: tuple[str, ...] = ()) -> Outcome:
    """How tests of f end."""
    return sandbox.run_tests(dedent(program), dedent(tests), "f", LIMITS, further)


def monkeypatched_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that imports find."""
    module = ModuleType("program")
    monkeypatch.setitem(sys.modules, "program", module)
    return module


@pytest.mark.parametrize("name", list(SAMPLES))
def test_right_programs_pass_as_in_python(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    program, tests = map(dedent, SAMPLES[name])
    names = vars(monkeypatched_module(monkeypatch))
    exec(program, names)
    exec(tests, names)  # what Python says
    outcome = run(sandbox, program, tests)
    assert outcome.status == "ok", outcome


SHARED = """
from dataclasses import dataclass
class Node:
    def __init__(self, value=0, next=None):
        self.value, self.next = value, next
@dataclass
class Point:
    x: int
"""
SHARED_SAMPLES = {
    "given": (
        "def f(h):\n    assert isinstance(h, Node)\n    h.next.value += 1\n    return h.next",
        "last = Node(2)\nassert f(Node(1, last)) is last and last.value == 3",
    ),
    "made": (
        "def f(n):\n    return Node(n, Node(3))",
        "h = f(2)\nassert isinstance(h, Node) and h.value == 2 and h.next.value == 3 and h.next.next is None",
    ),
    "compared": (
        "def f(n):\n    return Point(n)",
        "assert f(2) == Point(2) and Point(2) == f(2) and f(2) != Point(3) and [Point(2)] == [f(2)]",
    ),
    "compared_there": ("def f(p):\n    return p == Point(2) and p.x == 2", "assert f(Point(2)) and not f(Point(3))"),
}
"""A program and its tests, both after the same set-up."""


@pytest.mark.parametrize("name", list(SHARED_SAMPLES))
def test_classes_of_the_set_up_are_the_same_on_both_sides(sandbox: Sandbox, name: str) -> None:
    program, tests = SHARED_SAMPLES[name]
    outcome = run(sandbox, f"{SHARED}\n{program}", f"{SHARED}\n{tests}")
    assert outcome.status == "ok", outcome


def test_further_names_of_the_program(sandbox: Sandbox) -> None:
    program = "class Empty(Exception):\n    pass\ndef f():\n    raise Empty('no more')"
    tests = "try:\n    f()\nexcept Empty as error:\n    assert str(error) == 'no more'\nelse:\n    assert False"
    assert run(sandbox, program, tests, ("Empty",)).status == "ok"
    outcome = run(sandbox, "def f():\n    pass", tests, ("Empty",))
    assert (outcome.status, outcome.error) == ("runtime_error", "NameError: the program defines no 'Empty'")


def test_a_program_that_cannot_be_loaded_fails_whatever_its_tests_catch(sandbox: Sandbox) -> None:
    tests = "try:\n    f()\nexcept Exception:\n    pass"
    assert run(sandbox, "def f(:", tests).status == "runtime_error"
    assert run(sandbox, "x = 0", tests).status == "runtime_error"


WRONG = {
    "argument_not_changed": ("def f(a):\n    pass", "a = [2, 1]\nf(a)\nassert a == [1, 2]"),
    "argument_changed": ("def f(a):\n    a.append(1)\n    return sum(a)", "a = [1]\nf(a)\nassert a == [1]"),
    "not_the_same": ("def f(a):\n    return list(a)", "a = [1]\nassert f(a) is a"),
    "iterator_too_short": ("def f():\n    return iter([1])", "assert list(f()) == [1, 2]"),
    "wrong_number": ("import enum\ndef f():\n    return enum.IntEnum('E', 'A B').A", "assert f() == 2"),
    "wrong_date": (
        "import datetime\ndef f():\n    return datetime.date(2020, 1, 3)",
        "assert str(f()) == '2020-01-02'",
    ),
    "wrong_attribute": ("class f:\n    size = 3", "assert f().size == 4"),
    "wrong_order": ("class f:\n    def __lt__(self, other):\n        return False", "assert f() < f()"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_wrong_programs_fail_as_in_python(sandbox: Sandbox, name: str) -> None:
    program, tests = WRONG[name]
    names: dict[str, Any] = {"__name__": "program"}
    exec(program, names)
    with pytest.raises(AssertionError):
        exec(tests, names)
    outcome = run(sandbox, program, tests)
    assert (outcome.status, str(outcome.error)[:14], outcome.line) == ("runtime_error", "AssertionError", None)
