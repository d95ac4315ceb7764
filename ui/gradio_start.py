"""How Gradio's script of the page starts: what it does twice, or for nothing, is left out while it is served.

Both cost a first visit time that grows with the number of components times that of their events. Where the script does
not look as expected, it stays as it is.
"""

from __future__ import annotations

import re

SCRIPT = re.compile(r"Blocks-[\w-]+\.js")

# All components are made, and then once more by a reload that is meant for a changed program: its counter is still 0.
_RELOAD = re.compile(r"(\w+\(\(\)=>\{)(\w+)\(\),(\w+\(\(\)=>\{\w+\.reload\()")
# For each event its component is looked up, though hardly any event has arguments of its own.
_ARGUMENTS = re.compile(r"(async set_event_args\(\w+,(\w+)\)\{)(?!if)")


def shortened(text: str) -> str:
    """The script without what is done for nothing."""
    once = _RELOAD.sub(r"\1\2()&&\3", text, count=1)
    return _ARGUMENTS.sub(r"\1if(!Object.keys(\2).length)return()=>{};", once, count=1)
