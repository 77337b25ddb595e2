"""`python -m vae`: the console command where its folder is not on the path."""

from vae.command.console import main

if __name__ == "__main__":
    main()
