"""What is known of a call id: who carries it out, and how it ended."""
