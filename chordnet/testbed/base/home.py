"""Where networks are kept: ``$CHORDNET_HOME``, else the platform's user state directory.

::

    HOME/networks/NAME/network.json      the description
                      /compose.json      what its containers are, if it has had any
                      /lock              held by the command that changes the network
                      /cookie            shown by clients that operate its nodes
                      /nodes/03/         one node: its process, its log, its state
                      /authority/        what vouches for the members of a secured network
                      /operator/         the identity that every command and program here uses
                      /identities/03/    the identity of one node
                      /visitors/laptop/  the identity of a node that was started by hand
        /identities/ID                   a link to the operator's identity, by the network's id
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from chordnet.core.base.errors import ConfigError
from chordnet.home import COOKIE, make_cookie, network_directory
from chordnet.home import home_directory as user_directory
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import CannotWrite, TestbedError, UnreadableNetwork

NETWORK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""What Docker Compose accepts as the name of a project."""


def home_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory under which every network is kept.

    :raises TestbedError: there is none; the text says what to do.
    """
    try:
        return user_directory(environment)
    except ConfigError as problem:
        raise TestbedError(str(problem)) from None


@attrs.frozen
class NetworkHome:
    """The directory of one network.

    :raises TestbedError: a file in it cannot be read or written; the text names it.
    """

    root: Path
    name: str

    @property
    def directory(self) -> Path:
        """Everything about this network."""
        return network_directory(self.root, self.name)

    @property
    def lock_path(self) -> Path:
        """The file whose lock is held while the network is changed."""
        return self.directory / "lock"

    @property
    def description_path(self) -> Path:
        """The description as JSON."""
        return self.directory / "network.json"

    @property
    def compose_path(self) -> Path:
        """What Docker Compose brings up; it is not there before the first container."""
        return self.directory / "compose.json"

    @property
    def cookie_path(self) -> Path:
        """The cookie of the network's nodes; :meth:`make_cookie` makes it."""
        return self.directory / COOKIE

    def make_cookie(self) -> bytes:
        """Return the cookie of the network's nodes, which is made if it is missing.

        :raises TestbedError: it cannot be made or read.
        """
        try:
            return make_cookie(self.cookie_path)
        except ConfigError as problem:
            raise TestbedError(str(problem)) from None

    def node_directory(self, number: int) -> Path:
        """Everything about one node."""
        return self.directory / "nodes" / f"{number:02}"

    @property
    def authority_directory(self) -> Path:
        """The network's authority; it is not there before the network was first secured."""
        return self.directory / "authority"

    @property
    def operator_directory(self) -> Path:
        """The identity of whoever operates the network from this home."""
        return self.directory / "operator"

    def identity_directory(self, number: int) -> Path:
        """The identity of one node, as it was made here."""
        return self.directory / "identities" / f"{number:02}"

    @property
    def links_directory(self) -> Path:
        """Operators' identities by the ids of their networks, where programs look for them."""
        return self.root / "identities"

    def load(self) -> NetworkDescription | None:
        """Return the description, ``None`` if there is no such network.

        :raises UnreadableNetwork: there is a file, and it is no description.
        """
        try:
            network = NetworkDescription.from_json(self.description_path.read_bytes())
            if network.name != self.name:
                raise TestbedError(f"it describes the network '{network.name[:40]}'")
            return network
        except FileNotFoundError:
            return None
        except (OSError, TestbedError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else problem
            raise UnreadableNetwork(
                self.name, f"cannot read {self.description_path}: {why}"
            ) from problem

    def save(self, description: NetworkDescription) -> None:
        """Replace the description; a reader sees the old one or the new one, never half of it."""
        write_atomically(self.description_path, description.to_json())

    def set_aside(self) -> Path:
        """Move a description that cannot be read out of the way, and return its new path.

        :raises TestbedError: it cannot be moved.
        """
        try:
            return self.description_path.replace(self.directory / "network.json.damaged")
        except OSError as problem:
            what = f"cannot move {self.description_path}"
            raise CannotWrite(self.description_path, problem, what) from problem

    def purge(self) -> None:
        """Remove everything about the network.

        :raises TestbedError: something could not be removed; the text names it.
        """
        remove_tree(self.directory)
        self._remove_links()
        for parent in (self.directory.parent, self.links_directory, self.root):
            with contextlib.suppress(OSError):  # other networks live there
                parent.rmdir()

    def link_operator(self, network: str) -> None:
        """Let programs find the operator's identity by the id of its network.

        :raises TestbedError: the link cannot be made.
        """
        link = self.links_directory / network
        if link.is_dir() and not link.is_symlink():  # an identity that was enrolled by hand
            return
        try:
            make_directory(self.links_directory)
            new = link.with_name(f"{network}.new")
            new.unlink(missing_ok=True)
            new.symlink_to(os.path.relpath(self.operator_directory, self.links_directory))
            new.replace(link)
        except OSError as problem:
            raise CannotWrite(link, problem) from problem

    def _remove_links(self) -> None:
        """Remove the links to an operator's identity that is gone."""
        if not self.links_directory.is_dir():
            return
        wanted = os.path.relpath(self.operator_directory, self.links_directory)
        for link in self.links_directory.iterdir():
            if link.is_symlink() and str(link.readlink()) == wanted:
                link.unlink(missing_ok=True)


def make_directory(path: Path) -> None:
    """Make a directory and its missing parents, open to this user alone: they hold every message.
    A directory that an earlier version made readable by all is narrowed.

    :raises OSError: it cannot be made.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(exist_ok=True)  # fails if it is no directory
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)


def remove_tree(directory: Path, remove: Callable[..., object] = shutil.rmtree) -> None:
    """Remove a directory and everything in it, if it exists.

    :param remove: removes what it can and reports what it cannot, as :func:`shutil.rmtree`.
    :raises TestbedError: something could not be removed; the rest is gone; the text names the
        first.
    """
    problems: list[tuple[str, BaseException]] = []

    def failed(_function: object, path: str, info: Any) -> None:
        if not isinstance(info[1], FileNotFoundError):
            problems.append((path, info[1]))

    remove(directory, onerror=failed)
    if problems:
        path, problem = problems[0]
        why = getattr(problem, "strerror", None) or problem
        more = f", nor {len(problems) - 1} more" if len(problems) > 1 else ""
        raise TestbedError(f"{path} could not be removed{more}: {why}; the nodes are stopped")


def write_atomically(path: Path, text: str) -> None:
    """Replace the contents of ``path`` by ``text`` in one step.

    :raises TestbedError: the file cannot be written.
    """
    try:
        make_directory(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise CannotWrite(path, problem) from problem
