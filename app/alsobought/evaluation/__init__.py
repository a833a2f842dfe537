"""Offline quality: the log replayed as of a day, the pipe asked, its lists compared with what users did next."""
