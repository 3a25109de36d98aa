"""Faults of the codec: its functions are generated again, with other parts, while a fault is installed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ..model.registry import Registry
from ..reference_node.ergo.edf import codec, dynamic_readers
from ..reference_node.ergo.edf.codec import GeneratedFunctions
from ..reference_node.ergo.edf.runtime import DISPATCH
from ..reference_node.options import NetworkOptions
from .faults import _replaced
from .mutant import Area, _text


@dataclass(frozen=True, slots=True)
class CodecFault:
    """Names of modules or classes of the codec have other values. `changes`: owner, name and value."""

    changes: tuple[tuple[Any, str, Any], ...]

    def network_options(self, options: NetworkOptions) -> NetworkOptions:
        return options

    @contextmanager
    def installed(self) -> Iterator[None]:
        made: dict[int, GeneratedFunctions] = {}  # those of the node without a fault stay as they are

        def generated_functions(registry: Registry) -> GeneratedFunctions:
            if id(registry) not in made:
                made[id(registry)] = GeneratedFunctions(registry)
            return made[id(registry)]

        scalars = DISPATCH[:]
        with ExitStack() as stack:
            for owner, name, value in self.changes:
                stack.enter_context(_replaced(owner, name, value))
            stack.enter_context(_replaced(codec, "generated_functions", generated_functions))
            dynamic_readers._fill()
            try:
                yield
            finally:
                DISPATCH[:] = scalars


Declared = Callable[..., Any]


def codec_fault(
    area: Area, *requirements: str, at: tuple[tuple[Any, str], ...], found_by: tuple[str, ...], subtle: bool = False
) -> Callable[[Declared], Declared]:
    """Declares a function as a mutant: it replaces the named parts of the codec; its docstring describes the fault."""

    def declare(faulty: Declared) -> Declared:
        fault = CodecFault(tuple((owner, name, faulty) for owner, name in at))
        area.add(faulty.__name__, _text(faulty), fault, *requirements, found_by=found_by, subtle=subtle)
        return faulty

    return declare
