"""Extensions: code of others in folders of its own; what each says of itself, which are on, whose fault an error is.

    manifest.py      what a folder of extensions holds, read without running any of it
    registration.py  each imported, and what it adds put into the tables of the house
    switches.py      which are switched off, and which have failed, kept in a file of the data folder
    blame.py         from an error to the extension whose code has raised it
"""
