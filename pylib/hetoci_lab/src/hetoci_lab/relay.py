# SPDX-License-Identifier: MIT
"""A power relay on loopback, switched over HTTP as labgrid's `simplerest` does it.

GET /relay/N is 0 or 1; GET /relay/N/1 switches on, GET /relay/N/0 off.
"""

import re
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Switch = tuple[Callable[[], bool], Callable[[bool], None]]
"""What a relay's output is asked and told."""
PATH = re.compile(r"^/relay/(\d+)(?:/([01]))?$")


class Relay:
    """A running relay; `url` is what an exporter's configuration names as its host."""

    def __init__(self, switches: Sequence[Switch]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                match = PATH.match(self.path)
                if not match or int(match[1]) >= len(switches):
                    self.send_error(404, "there is no such relay")
                    return
                ask, tell = switches[int(match[1])]
                if match[2]:
                    tell(match[2] == "1")
                body = b"1" if ask() else b"0"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/relay/{{index}}/{{value}}"

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
