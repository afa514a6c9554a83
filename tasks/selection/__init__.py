"""Which pre-trained model, depth, pool and scope, and why."""
