"""What a part declares: the events and messages it takes, the alarms it sets, the signals it hears.

``EVENTS``, ``MESSAGES``, ``ALARMS`` and ``HEARS`` each say which of the part's methods is called.
They are class-level: a node keeps no tables of its own (:mod:`chordnet.core.parts`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chordnet.core.kernel.signals import Signal
from chordnet.core.kernel.timers import Alarm

EventHandlers = dict[type, Callable[[Any, Any], None]]
"""Type of event -> the part's method: (part, event)."""
Handlers = dict[type, Callable[[Any, Any, Any], None]]
"""Type of message -> the part's method: (part, sender, message)."""
Ringers = dict[Alarm, Callable[[Any], None]]
"""Alarm -> the part's method: (part)."""
Hearers = dict[Signal[...], Callable[..., None]]
"""Signal -> the part's method: (part, what comes with the signal)."""
