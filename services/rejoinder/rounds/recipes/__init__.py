"""Recipes: one YAML file per use. `rejoinder round plan --recipe NAME` says what one would do."""
