"""How good a pipe's recommendations are: the log replayed as of a day, the pipe asked, its lists held against what came then."""
