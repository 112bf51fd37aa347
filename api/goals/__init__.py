"""Goals, their plans, the talks that lead to them, and the articles they rest on."""
