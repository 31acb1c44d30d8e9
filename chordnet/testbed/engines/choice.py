"""Which engine a new network gets, and why."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs

from chordnet.survey.errors import EngineUnavailable, TestbedError
from chordnet.survey.waiting import Reactor, gather, pause
from chordnet.testbed.base.commands import Finished, Run, run_program
from chordnet.testbed.base.engine import Engine
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.compose_file import checkout

ANSWER_TIMEOUT_S = 10.0
AGAIN_S = 0.5
"""Pause before Docker is asked again after it failed to answer."""
_NOT_THERE = ("Cannot connect", "permission denied", "not a docker command", "unknown")
"""Parts of Docker's errors after which asking again is useless."""

Find = Callable[[str], str | None]


@attrs.frozen
class Choice:
    """An engine and the reason for choosing it."""

    kind: str
    why: str


Choose = Callable[[Reactor, str], Coroutine[Any, Any, Choice]]
"""Chooses an engine, as :func:`choose_engine` does."""


async def docker_versions(
    reactor: Reactor, find: Find = shutil.which, run: Run = run_program
) -> str:
    """Return the versions that answer: ``Docker 28.2 with Compose 2.26``.

    :raises EngineUnavailable: there is no engine, it does not answer, or it lacks Compose.
    """
    if find("docker") is None:
        raise EngineUnavailable("Docker is not installed")
    try:
        engine, compose = await gather(
            _asked(reactor, ["docker", *words], run)
            for words in (
                ["version", "--format", "{{.Server.Version}}"],
                ["compose", "version", "--short"],
            )
        )
    except TestbedError as problem:
        raise EngineUnavailable(str(problem)) from problem
    if engine.status != 0:
        raise EngineUnavailable(f"no Docker engine answers ({engine.last_line()})")
    if compose.status != 0:
        raise EngineUnavailable("Docker answers, but has no Compose (docker compose version fails)")
    return f"Docker {engine.output.strip()} with Compose {compose.output.strip()}"


async def _asked(reactor: Reactor, words: list[str], run: Run) -> Finished:
    done = await run(reactor, words, timeout=ANSWER_TIMEOUT_S)
    if done.status and not any(text in done.errors for text in _NOT_THERE):
        await pause(reactor, AGAIN_S)
        done = await run(reactor, words, timeout=ANSWER_TIMEOUT_S)
    return done


async def choose_engine(
    reactor: Reactor,
    wanted: str,
    find: Find = shutil.which,
    run: Run = run_program,
    find_checkout: Callable[[], Path | None] = checkout,
) -> Choice:
    """Choose ``docker`` if it can be used, otherwise ``local``.

    :param wanted: ``auto``, ``docker`` or ``local``.
    :param find: finds a program on the path.
    :param run: runs a program.
    :param find_checkout: returns the checkout that an image is built from.
    :raises EngineUnavailable: ``docker`` is wanted and does not answer.
    """
    if wanted == "local":
        return Choice("local", "as asked")
    try:
        versions = await docker_versions(reactor, find, run)
    except EngineUnavailable as problem:
        if wanted == "docker":
            raise EngineUnavailable(f"{problem}; use --engine local") from problem
        return Choice("local", str(problem))
    if wanted == "auto" and find_checkout() is None:
        return Choice("local", f"{versions} answers, but there is no checkout to build from")
    return Choice("docker", f"{versions} answers")


def make_engine(kind: str, reactor: Reactor, home: NetworkHome) -> Engine:
    """Return the engine called ``kind``, importing its module."""
    if kind == "docker":
        from chordnet.testbed.engines.docker import DockerEngine  # noqa: PLC0415 - slow to import

        return DockerEngine(reactor, home)
    from chordnet.testbed.engines.local import LocalEngine  # noqa: PLC0415 - not needed with docker

    return LocalEngine(reactor, home)
