"""Pure: what to do next with a loop, a round, a rollout. Everything comes as values; each table is in its docstring.

actions: what may be decided; trigger: whether a round begins; recipe: a loop's spec as a recipe; jobs: a stage
as a Job.
"""
