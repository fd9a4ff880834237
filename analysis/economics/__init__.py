"""What a plan is worth in money: today's cost and the plan's, savings, payback, uncertainty, stages. Pure arithmetic, no torch."""
