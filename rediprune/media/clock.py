"""Make the times of packets continuous where the clock of a file restarts in the middle.

Recordings joined end to end (MPEG-TS by design, Matroska and WebM as browsers record them) keep the clocks of
their parts: the second part begins at zero again, or hours later.
"""

from __future__ import annotations

from fractions import Fraction

import av

# Seconds. A decoding time that falls by less is a fault of the muxer, which players tolerate.
LEAST_FALL = Fraction(1, 5)
# Seconds, as in FFmpeg's own tools for formats whose clock may jump, of which only MPEG-TS is read here.
LONGEST_GAP = 10


class Clock:
    """Follow packets in the order of the file, and detect where their clock restarts.

    Attributes:
        restarts: number of restarts so far.
    """

    def __init__(self, stream: av.VideoStream, may_jump: bool) -> None:
        """Start before the first packet.

        Args:
            stream: the track of the packets.
            may_jump: a step forward of more than LONGEST_GAP seconds is a restart too.
        """
        self.restarts = 0
        self._least_fall = int(LEAST_FALL / stream.time_base)
        self._longest_gap = int(LONGEST_GAP / stream.time_base) if may_jump else None
        self._usual = int(1 / (stream.average_rate * stream.time_base)) if stream.average_rate else 1
        self._decoding_time: int | None = None
        self._end = 0
        self._shift = 0

    def observe(self, packet: av.Packet) -> None:
        """Follow the packet without changing its times."""
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
        """Follow the packet, and set its times to continuous ones."""
        self.observe(packet)
        if packet.pts is not None:
            packet.pts += self._shift
        if packet.dts is not None:
            packet.dts += self._shift

    def _is_restart(self, step: int) -> bool:
        """Return whether a step of the decoding time, in ticks, is a restart of the clock."""
        return step < -self._least_fall or (self._longest_gap is not None and step > self._longest_gap)
