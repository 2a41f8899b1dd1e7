"""The Verilog of a component on a bench."""

from weakref import WeakKeyDictionary

from skimp.gen import to_verilog

__all__ = ["verilog_of"]

_kept = WeakKeyDictionary()


def verilog_of(component, *, name: str, platform=None) -> str:
    """Return the Verilog of a component, as `to_verilog`, made once for each component.

    Making it often takes longer than all that a test does with it: hand the same component to as
    many runs as there are.
    """
    texts = _kept.setdefault(component, {})
    key = name, platform
    if key not in texts:
        texts[key] = to_verilog(component, name=name, platform=platform)
    return texts[key]
