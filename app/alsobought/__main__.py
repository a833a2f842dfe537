"""`python -m alsobought` is the command `alsobought`."""

from alsobought.cli.main import main

if __name__ == "__main__":
    main()
