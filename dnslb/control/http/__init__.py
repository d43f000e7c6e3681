"""The HTTP door: the page, the metrics, the verbs of the control socket as a JSON API, and a stream of what changes.

`door` listens and answers: `gate` says who may ask for what, `asked` reads what comes in, `replies` writes what goes
out, `files` is the page, `stream` tells of changes, `connections` bounds all of it. `routes` is the table of what can
be asked for, from which `openapi` makes the document.
"""
