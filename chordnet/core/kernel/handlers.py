"""What a part declares: which messages it takes, and which alarms it sets.

``MESSAGES`` says which method takes a message, ``ALARMS`` which one an alarm calls. Both are
class-level: a node keeps no tables of its own (:mod:`chordnet.core.parts`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chordnet.core.kernel.timers import Alarm

Handlers = dict[type, Callable[[Any, Any, Any], None]]
"""Type of message -> the part's method: (part, sender, message)."""
Ringers = dict[Alarm, Callable[[Any], None]]
"""Alarm -> the part's method: (part)."""
