"""Print a ``pip.conf`` that gives a container the pip settings of this machine.

pip is asked for its settings (files and ``PIP_`` variables alike), and what only means something
on this machine is left out: directories, ``file:`` addresses, the place of its certificates.
"""

import ast
import os
import subprocess
import sys

# The settings that decide from where and how pip downloads; the rest is a matter of taste.
DOWNLOAD_SETTINGS = {
    "index-url",
    "extra-index-url",
    "find-links",
    "trusted-host",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
}
ADDRESSES = {"index-url", "extra-index-url", "find-links"}
CONTAINER_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def usable_inside(name: str, value: str) -> str:
    """The part of the setting ``name`` that still holds in another file system ("" for none)."""
    if name not in ADDRESSES:
        return value
    remote = [word for word in value.split() if word.startswith(("http://", "https://"))]
    return " ".join(remote)


def collect(listing: str) -> dict[str, str]:
    """Settings out of the lines of ``pip config list``, the strongest (last) source winning."""
    settings: dict[str, str] = {}
    for line in listing.splitlines():
        key, found, literal = line.partition("=")
        name = key.rpartition(".")[2]
        if found and name in DOWNLOAD_SETTINGS:
            value = usable_inside(name, str(ast.literal_eval(literal)))
            if value:
                settings[name] = value
    return settings


def main() -> None:
    """Write the configuration to standard output."""
    # A Python without pip has no settings to pass on: its empty answer leaves the defaults.
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True
    )
    settings = collect(listing.stdout)
    proxy = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if proxy:
        settings.setdefault("proxy", proxy)
    print("[global]")
    print(f"cert = {CONTAINER_BUNDLE}")
    print("disable-pip-version-check = true")
    for name, value in sorted(settings.items()):
        # A continuation line needs no more than its indentation.
        print(f"{name} = " + "\n    ".join(value.split()))


if __name__ == "__main__":
    main()
