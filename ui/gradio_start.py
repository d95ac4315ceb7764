"""How Gradio's scripts start the page: what they do twice, or for nothing, is left out while they are served.

Each costs a first visit time that grows with the number of components times that of their events. Where a script does
not look as expected, it stays as it is.
"""

from __future__ import annotations

import re

SCRIPT = re.compile(r"(Blocks|core)-[\w-]+\.js")

# All components are made, and then once more by a reload that is meant for a changed program: its counter is still 0.
_RELOAD = re.compile(r"(\w+\(\(\)=>\{)(\w+)\(\),(\w+\(\(\)=>\{\w+\.reload\()")
# For each event its component is looked up, though hardly any event has arguments of its own.
_ARGUMENTS = re.compile(r"(async set_event_args\(\w+,(\w+)\)\{)(?!if)")
# For each component all events are looked through, and for each of their targets its number is asked of a proxy.
_ATTACHED = re.compile(r"(find_attached_events\((\w+),\w+\)\{)(?!let \$id)(.*?return \2\})")
_TARGETS = re.compile(r"\.targets\.find\(\(\[(\w+)\]\)=>\1===\w+\.id\)")


def shortened(text: str) -> str:
    """A script without what it does for nothing."""
    text = _RELOAD.sub(r"\1\2()&&\3", text, count=1)
    text = _ARGUMENTS.sub(r"\1if(!Object.keys(\2).length)return()=>{};", text, count=1)
    return _ATTACHED.sub(_asked_once, text, count=1)


def _asked_once(found: re.Match[str]) -> str:
    head, component, body = found.groups()
    return f"{head}let $id={component}.id;" + _TARGETS.sub(r".targets.find(\1=>\1[0]===$id)", body)
