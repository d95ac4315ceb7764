"""The page's own routes, below /easel.

    events.py          one stream of changes per open page
    jobs.py            jobs, queue, interrupt, skip, health
    files.py           pictures, previews, uploads
    history.py         search, stars, the bin, comparison, import
    boards.py          albums of the history
    sharing.py         links, and /share: pictures and plots that others see by them
    people.py          accounts, limits, everybody's queue, the audit log; for admins
    plots.py           axes, dry runs, cells
    plot_exports.py    plots as files
    networks.py        cards, notes and pictures of LoRAs, embeddings, ...
    prompts.py         styles, autocomplete
    faces.py           where they are, how alike two are
    guides.py          what pictures may guide by, and previews of it
    descriptions.py    pictures in words
    extensions.py      which are on, and their switches
    preferences.py     preferences, and what is told about this Easel
"""
