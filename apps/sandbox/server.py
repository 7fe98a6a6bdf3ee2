"""A threaded HTTP/1.1 server on 127.0.0.1 with kept-alive connections, as the `stripe` library pools them.

wsgiref's server closes each connection and cannot drop one without an answer, which the faults need.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote
from wsgiref.types import WSGIApplication

from apps.sandbox.faults import Cut

log = logging.getLogger(__name__)
MAX_BODY = 2_000_000
IDLE_SECONDS = 120


class Server(ThreadingHTTPServer):
    """Serves one WSGI application. Port 0 picks a free one."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, application: WSGIApplication) -> None:
        self.application = application
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        # HTTPServer would look the host name up, which is slow on machines without DNS.
        if os.name == "posix":  # elsewhere it would let two servers share the port
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            log.exception("A connection failed")


class Handler(BaseHTTPRequestHandler):
    """Turns a request into a WSGI call and sends the answer in one piece."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle_request(self) -> None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_BODY or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self.send_error(413 if length > MAX_BODY else 411)
            return
        body = self.rfile.read(length)
        try:
            status, headers, content = self._run(body)
        except Cut as cut:
            self._drop(reset=cut.reset)
            return
        self.send_response_only(*status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = do_PATCH = do_OPTIONS = handle_request

    def _run(self, body: bytes) -> tuple[tuple[int, str], list[tuple[str, str]], bytes]:
        answer: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            answer[:] = [(status, headers)]

        result = self.server.application(self._environ(body), start_response)
        try:
            content = b"".join(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        status, headers = answer[0]
        code, _, reason = status.partition(" ")
        return (int(code), reason), [h for h in headers if h[0].lower() != "content-length"], content

    def _environ(self, body: bytes) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "iso-8859-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            key = f"HTTP_{name.upper().replace('-', '_')}"
            if key not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH") and "_" not in name:
                environ[key] = value
        return environ

    def _drop(self, *, reset: bool) -> None:
        """Close without an answer; with `reset` the client sees a connection reset."""
        self.close_connection = True
        if reset:
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            )
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: paths carry ids, and the control panel shows what happened."""
