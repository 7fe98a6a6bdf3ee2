"""A mail server on this machine that can be away, or break off in the middle."""

from __future__ import annotations

import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType


class MailServer:
    """Takes messages on a port of its own while it is up. `breaks` cuts a connection after the message is taken."""

    def __init__(self) -> None:
        self.received: list[EmailMessage] = []
        self.refused: set[str] = set()
        self.breaks = 0
        self.server: socketserver.ThreadingTCPServer | None = None
        self.port = 0

    def __enter__(self) -> MailServer:
        self.come_back()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.go_away()

    def come_back(self) -> None:
        outer = self

        class Talk(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer._talk(self)

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", self.port), Talk)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def go_away(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def _talk(self, line: socketserver.StreamRequestHandler) -> None:
        def say(answer: str) -> None:
            line.wfile.write(f"{answer}\r\n".encode())

        say("220 ready")
        while raw := line.rfile.readline():
            command = raw.decode().strip()
            verb = command.split(" ", 1)[0].upper()
            if verb == "DATA":
                say("354 go on")
                content = b""
                while (part := line.rfile.readline()) not in (b".\r\n", b""):
                    content += part.removeprefix(b".") if part.startswith(b"..") else part
                self.received.append(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
                if self.breaks:
                    self.breaks -= 1
                    return
                say("250 taken")
            elif verb == "RCPT" and any(address in command for address in self.refused):
                say("550 nobody of that name")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 fine")
