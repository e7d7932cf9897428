"""One module for each family of commands; heavy imports stay inside the functions."""
