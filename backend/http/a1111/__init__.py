"""AUTOMATIC1111's HTTP API: the names, types, defaults and status codes that its clients know.

    routes.py             /sdapi/v1/txt2img, img2img, interrupt, skip, options, png-info
    extras.py             /sdapi/v1/extra-single-image, extra-batch-images
    progress.py           /sdapi/v1/progress, /internal/progress
    models.py             the lists of models, samplers, upscalers, styles
    interrogate.py        /sdapi/v1/interrogate
    server.py             flags, memory, scripts, extensions, stop and restart
    controlnet_routes.py  /controlnet: models and preprocessors, as sd-webui-controlnet lists them
    reactor_routes.py     /reactor: faces swapped in a picture, as sd-webui-reactor does
    requests.py           payloads in: fields (names), values, scripts, pictures, options, guides, detailer, face_swap,
                          eta, interrogate_options
    unsupported.py        what Easel lacks: refused, or passed over for a client
    responses.py          answers out
    calls.py              which calls wait for their answer, and whose they are
"""
