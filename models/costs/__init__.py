"""What calls of models cost, and what may be spent."""
