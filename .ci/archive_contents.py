"""Fail when a built wheel or source archive lacks what it needs or holds what it must not."""

import sys
import tarfile
import zipfile
from pathlib import Path

PLUGIN = "twisted/plugins/chordnode_plugin.py"
WHEEL_NEEDS = ("chordnet/__init__.py", "chordnet/py.typed", PLUGIN, "licenses/LICENSE")
SOURCE_NEEDS = (
    "chordnet/__init__.py",
    "chordnet/py.typed",
    f"twisted_plugins/{PLUGIN}",
    "LICENSE",
    "CHANGELOG.md",
    "README.md",
    "pyproject.toml",
    "Makefile",
    "compose/Dockerfile",
    "compose/compose.yaml",
    "docs/conf.py",
    "requirements/runtime.txt",
    "tests/unit/test_architecture.py",
)
NEVER = (
    "dropin.cache",
    "__pycache__",
    ".pyc",
    "twisted/__init__.py",
    "plugins/__init__.py",
    ".env",
)


def names(archive: Path) -> list[str]:
    """The files in a wheel or a source archive."""
    if archive.suffix == ".whl":
        return zipfile.ZipFile(archive).namelist()
    with tarfile.open(archive) as tar:
        return tar.getnames()


def complaints(archive: Path) -> list[str]:
    """What is wrong with the contents, a line each."""
    held = names(archive)
    needed = WHEEL_NEEDS if archive.suffix == ".whl" else SOURCE_NEEDS
    found = [f"lacks {need}" for need in needed if not any(name.endswith(need) for name in held)]
    found += [f"holds {name}" for name in held for bad in NEVER if name.endswith(bad)]
    if archive.suffix == ".whl":
        found += [f"holds {name}" for name in held if name.startswith(("tests/", "docs/"))]
    return found


if __name__ == "__main__":
    wrong = complaints(Path(sys.argv[1]))
    for line in wrong:
        print(f"{Path(sys.argv[1]).name} {line}")
    sys.exit(bool(wrong))
