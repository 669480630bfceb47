"""What the machine is asked: its memory, files that appear whole or not at all, and a bar for who waits."""
