"""Who is a member of a run, and when that changes: a pure state machine. No clock, no thread, no Ray, no torch inside."""
