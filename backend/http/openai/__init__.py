"""/v1: OpenAI's shapes for pictures and models, so that programs made for its API can draw here.

    requests.py      what is asked in OpenAI's words becomes field values; what cannot be honoured is refused by name
    edits.py         pictures and masks of a form become uploads
    answers.py       pictures and models in OpenAI's shapes
    stream.py        events with rough pictures
    images.py        /v1/images/generations, edits, variations
    models.py        /v1/models
"""
