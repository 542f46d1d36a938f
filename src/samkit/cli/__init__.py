"""The command line: one file for each verb, which composes the other rooms."""
