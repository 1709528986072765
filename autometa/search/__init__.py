"""One search: its time and memory, the run folder, resume, executors, and what people see of it.

The room and the function share a name: importing any part of the room binds `autometa.search` to this
module, so the module can be called like the function, `autometa.search(data, ...)`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallableRoom(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        """See :func:`autometa.search.api.search`."""
        from autometa.search.api import search

        return search(*args, **options)


sys.modules[__name__].__class__ = _CallableRoom
