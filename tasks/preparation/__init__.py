"""Which examples are used, in which form, and what the simple answers to the task are worth."""
