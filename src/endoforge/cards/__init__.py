"""Model cards: what weights are, how they were made, how good they are, and what nobody knows."""
