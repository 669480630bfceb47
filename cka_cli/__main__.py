"""`python -m cka_cli` is `cka`."""

from cka_cli.cli import main

if __name__ == "__main__":
    main()
