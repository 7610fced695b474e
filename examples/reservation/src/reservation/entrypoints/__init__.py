"""What can be started: each file is one command of the `reservation` program."""
