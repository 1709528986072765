"""Policies: who decides what to try next. Each is a pure function of the task; none keeps a state."""
