"""Training: recipes, prompts drawn from masks, losses, the loop and its state."""
