"""Sphinx directives that put the reference pages together from the code."""

from __future__ import annotations

from collections.abc import Callable

import generated
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def directive(make: Callable[[], str]) -> type[SphinxDirective]:
    """Return a directive that is replaced by the Markdown that ``make`` returns."""

    class Generated(SphinxDirective):
        """Parses generated Markdown in place."""

        def run(self) -> list[nodes.Node]:
            return self.parse_text_to_nodes(make(), allow_section_headings=True)

    return Generated


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("p2pnet-commands", directive(generated.commands))
    app.add_directive("twistd-options", directive(generated.twistd_options))
    app.add_directive("node-settings", directive(generated.node_settings))
    app.add_directive("protocol-settings", directive(generated.protocol_settings))
    app.add_directive("network-limits", directive(generated.network_limits))
    app.add_directive("node-metrics", directive(generated.node_metrics))
    app.add_directive("protocol-messages", directive(generated.protocol_messages))
    app.add_directive("core-parts", directive(generated.core_parts))
    app.add_directive("core-signals", directive(generated.core_signals))
    app.add_directive("detection-times", directive(generated.detection_times))
    return {"parallel_read_safe": True}
