"""Hooks botocore of any Python process that has this folder on its PYTHONPATH.

Lazily: the hook goes in when botocore's handlers are imported, and does nothing in a process whose
environment names no plan of faults.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

HOOKED = "botocore.handlers"


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - importlib's signature
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != HOOKED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_hook(module: ModuleType) -> None:
            execute(module)
            import fault_hook  # noqa: PLC0415 - only where botocore is used at all

            fault_hook.install(module)

        spec.loader.exec_module = execute_and_hook  # type: ignore[method-assign]  # the hook itself
        return spec


sys.meta_path.insert(0, _Finder())
