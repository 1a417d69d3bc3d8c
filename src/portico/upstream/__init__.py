"""Where calls go, one file a kind of upstream. `http_api.py` is a REST API: `http_request.py` writes what a tool asks,
`http_answer.py` makes content for a model of what comes back.
"""
