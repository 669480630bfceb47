"""What is asked for and what it will cost: pure arithmetic, which `--dry-run` prints."""
