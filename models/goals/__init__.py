"""Goals: what somebody wants to reach, the plan that leads there, and the tasks it is made of."""
