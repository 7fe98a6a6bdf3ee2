"""Where the shop's e-mails go: counted by Message-ID, not kept."""

from __future__ import annotations

import socketserver
import threading
from typing import Any

from tests.storm.folder import Folder


class Mailbox:
    """An SMTP server that takes everything. Each message is a line of `mails.txt`: its Message-ID."""

    def __init__(self, folder: Folder) -> None:
        self._lock = threading.Lock()
        self._file = (folder.path / "mails.txt").open("a", encoding="ascii")
        outer = self

        class Talk(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer._talk(self)

        socketserver.ThreadingTCPServer.daemon_threads = True
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk)
        self.url = f"smtp://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._file.close()

    def _talk(self, line: Any) -> None:
        try:
            line.wfile.write(b"220 ready\r\n")
            while command := line.rfile.readline():
                verb = command[:4].upper()
                if verb == b"DATA":
                    line.wfile.write(b"354 go on\r\n")
                    self._take(line)
                    line.wfile.write(b"250 taken\r\n")
                elif verb == b"QUIT":
                    line.wfile.write(b"221 bye\r\n")
                    return
                else:
                    line.wfile.write(b"250 fine\r\n")
        except OSError:
            return  # its sender was killed

    def _take(self, line: Any) -> None:
        message_id = ""
        while (part := line.rfile.readline()) != b".\r\n":
            if not part:
                raise ConnectionError("cut off within a message")
            if not message_id and part[:11].lower() == b"message-id:":
                message_id = part[11:].decode("ascii").strip()
        with self._lock:
            self._file.write(message_id + "\n")
            self._file.flush()
