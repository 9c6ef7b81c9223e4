"""Print the routes of the server's application, as it is built with this process's environment."""

import json
import re

from fastapi.routing import iter_route_contexts
from mlflow.server import app as flask_app

from tinybench.service.access import create_app


def main() -> None:
    natives = [(route.path, route.methods) for route in iter_route_contexts(create_app().routes) if route.path]
    rules = [(rule.rule, rule.methods) for rule in flask_app.url_map.iter_rules()]
    routes = {
        (method, re.sub(r"\{(\w+)(:\w+)?\}|<(?:\w+:)?(\w+)>", r"<\1\3>", path))
        for path, methods in [*natives, *rules]
        for method in methods or ["WEBSOCKET"]
    }
    print(json.dumps(sorted(routes)))


if __name__ == "__main__":
    main()
