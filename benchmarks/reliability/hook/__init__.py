"""On the path of Python, this folder puts `sitecustomize` into every interpreter that is started."""
