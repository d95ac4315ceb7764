"""/api: the modern door for programs. Requests by field names, results by opaque ids, errors as problem+json.

    schemas.py       what is answered, and made of what the front door tells
    jobs.py          /api/jobs: submit, look, wait, cancel, retry, delete
    events.py        /api/events, /api/jobs/<id>/events: server-sent events, from job_story and user_story
    images.py        /api/images: results in the form that is asked for, settings, infotext
    uploads.py       /api/uploads: pictures to start from
    models.py        /api/models, samplers, schedules, fields
    plots.py         /api/plots: dry run, create, cells, cancel, export
"""
