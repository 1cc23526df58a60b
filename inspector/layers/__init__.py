"""What a person asks of one container's layers: which has it, what is wasted, show it, copy it."""
