"""Lightning modules, optimizers and schedules, training callbacks, step acceleration and the CSV logger."""
