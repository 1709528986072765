"""Processes that work for others: started in milliseconds, held to a time and a memory, gone when nobody waits."""
