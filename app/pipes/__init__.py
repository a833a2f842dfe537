"""A pipe is one SQL file that answers one question: header, parameters, template, check, library.

Pure but for reading files.
"""
