"""`python -m reservation`, the same as `reservation`."""

from reservation.cli import main

if __name__ == "__main__":
    main()
