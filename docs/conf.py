"""Sphinx's configuration. Everything is built from this checkout, nothing is fetched."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import chordnet  # noqa: E402 - found on the path that was just set

project = "chordnet"
author = "The chordnet developers"
copyright = "The chordnet developers"
version = release = chordnet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "chordnet_docs"]
exclude_patterns = ["_build", "_ext"]
nitpicky = False

myst_enable_extensions = ["deflist", "colon_fence", "attrs_inline"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"chordnet {version}"
html_static_path = ["_static"]
html_css_files = ["chordnet.css"]
html_copy_source = False
# Pictures are drawn on a light ground of their own, so they read in both colour schemes.
html_theme_options = {"navigation_with_keys": True}
