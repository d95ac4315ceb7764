"""What people keep for their prompts: styles, wildcards, tags, earlier prompts, and what may be typed next."""
