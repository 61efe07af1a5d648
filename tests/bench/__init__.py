"""What the gateway costs: `python -m tests.bench` measures and prints one table."""
