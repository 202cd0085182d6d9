"""The verbs: a configuration and an array become a fit and its result.

Every end of the program (Python, command line, widget) goes through here, so all give the same numbers.
"""
