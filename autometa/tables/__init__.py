"""Tables: reading, column types, leak checks, splits, preprocessing, learners, the objective, ensembles."""
