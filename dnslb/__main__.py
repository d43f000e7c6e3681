"""`python -m dnslb` is `dnslb`."""

from dnslb.cli.main import main

if __name__ == "__main__":
    main()
