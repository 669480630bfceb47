"""The guts of each command: paths or arrays in, a result out. Nothing is printed."""
