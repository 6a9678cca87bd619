"""A value leaves: which batch goes out when, and the one connection that carries it.

paho asks for `urllib.request` when it is imported, and for nothing of it unless it dials itself, through a proxy; here
the dialling is ours. With HTTP and mail behind it that is a twentieth of the agent's memory: it is read by whoever uses
any of it. importlib's own LazyLoader reads a module at the second import already.
"""

import sys
import urllib
from importlib import import_module
from types import ModuleType
from typing import Any

_NAME = "urllib.request"


class _Later(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked for by who only looks at what there is
            raise AttributeError(name)
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        return getattr(import_module(_NAME), name)


if _NAME not in sys.modules:
    sys.modules[_NAME] = vars(urllib)["request"] = _Later(_NAME)
