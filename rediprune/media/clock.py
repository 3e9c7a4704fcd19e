"""The times of packets as one line, where the clock of the file starts again in the middle.

Recordings joined end to end (MPEG-TS by design, Matroska and WebM as browsers record them) keep the clocks of
their parts: the second part begins at zero again, or hours later.
"""

from __future__ import annotations

from fractions import Fraction

import av

# A decoding time that falls by less is a fault of the muxer; players put up with it.
LEAST_FALL = Fraction(1, 5)
# As in FFmpeg's own tools for formats whose clock may jump, of which only MPEG-TS is read here.
LONGEST_GAP = 10


class Clock:
    """Follows packets in the order of the file and finds where their clock starts again.

    Attributes:
        restarts: how often it did until now.
    """

    def __init__(self, stream: av.VideoStream, may_jump: bool) -> None:
        """Start before the first packet.

        Args:
            stream: whose packets follow.
            may_jump: whether a step forward of more than LONGEST_GAP seconds is a restart too.
        """
        self.restarts = 0
        self._least_fall = int(LEAST_FALL / stream.time_base)
        self._longest_gap = int(LONGEST_GAP / stream.time_base) if may_jump else None
        self._usual = int(1 / (stream.average_rate * stream.time_base)) if stream.average_rate else 1
        self._decoding_time: int | None = None
        self._end = 0
        self._shift = 0

    def observe(self, packet: av.Packet) -> None:
        """Take the packet into account; its times stay as they are."""
        decoding_time = packet.dts
        time = packet.pts if packet.pts is not None else decoding_time
        if time is None:
            return
        if decoding_time is not None:
            if self._decoding_time is not None and self._is_restart(decoding_time - self._decoding_time):
                self.restarts += 1
                self._shift = self._end - time
            self._decoding_time = decoding_time
        self._end = max(self._end, time + self._shift + (packet.duration or self._usual))

    def set_time(self, packet: av.Packet) -> None:
        """Take the packet into account and set its times to where it lies on the one line."""
        self.observe(packet)
        if packet.pts is not None:
            packet.pts += self._shift
        if packet.dts is not None:
            packet.dts += self._shift

    def _is_restart(self, step: int) -> bool:
        return step < -self._least_fall or (self._longest_gap is not None and step > self._longest_gap)
