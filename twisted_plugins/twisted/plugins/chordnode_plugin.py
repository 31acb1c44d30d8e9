"""Tell ``twistd`` about the ``chordnode`` command."""

from twisted.application.service import ServiceMaker

chordnode = ServiceMaker(
    "chordnet node",
    "chordnet.tap",
    "One node of a chordnet ring: joins through its bootstrap peers and serves clients.",
    "chordnode",
)
