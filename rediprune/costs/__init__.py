"""Count what a run costs: FLOPs and bytes estimated from shapes, times measured by a stopwatch."""
