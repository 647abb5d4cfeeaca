"""From a version to its users and back, pure: plan, assignment, lease, units, sequential, verdict, decide, forecast."""
