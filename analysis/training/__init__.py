"""Fine-tunes that really run: one arm, its frozen prefix without a graph, and that prefix' output kept from the first epoch on."""
