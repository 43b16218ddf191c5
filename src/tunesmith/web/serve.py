"""`tunesmith webui`: the studio in the browser."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from types import FrameType
from typing import Any

from tunesmith.errors import UserError
from tunesmith.i18n import tr

DEFAULT_PORT = 7860
_PORTS_TRIED = 20


def run(arguments: list[str]) -> int:
    """The command; returns when the studio is stopped with Ctrl-C."""
    options = _parser().parse_args(arguments)
    root = Path(options.workspace).expanduser().resolve()
    if not root.is_dir():
        raise UserError(f"There is no folder {root}.", hint="Make it first, or name another.")
    os.chdir(root)  # relative paths mean the same here, in configurations and in the commands that are started

    from tunesmith.runs.files import replace_json
    from tunesmith.runs.state import this_process
    from tunesmith.web.guard import Door, check_token, is_local, make_token
    from tunesmith.web.single import address_of_other, hold
    from tunesmith.web.workspace import Workspace

    also = tuple(Path(place).expanduser().resolve() for place in options.also)
    workspace = Workspace(root, also)
    mark, lock = workspace.own("server.json"), hold(workspace)
    if lock is None:
        url = address_of_other(workspace)
        print(tr("The studio of {root} is open already: {url}").format(root=root, url=url), flush=True)
        return 0
    local = is_local(options.host)
    token = None
    if options.token or not local:
        token = (
            check_token(options.token) if options.token not in (None, "auto") else make_token(workspace.own("token"))
        )
    listener = _listen(options.host, options.port)
    port = listener.getsockname()[1]
    url = _address(options.host, port, token)
    names = {"localhost", "127.0.0.1", "::1", options.host.lower(), *map(str.lower, options.allow_host)}
    if not local:
        names.add(socket.gethostname().lower())
    door = Door(token, frozenset(names), addresses=not local)

    import uvicorn

    from tunesmith.web.app import NO_PAGE, PAGE, create_app
    from tunesmith.web.studio import Studio

    studio = Studio(workspace, exposed=not local)
    app = create_app(studio, door)
    if not (PAGE / "index.html").is_file():
        print(tr(NO_PAGE), file=sys.stderr)
    replace_json(mark, {**this_process(), "url": _address(options.host, port, None)})  # others may read it
    print(tr("Tunesmith studio: {url}").format(url=url))
    print(tr("Workspace: {root}. Ctrl-C ends the page; runs go on.").format(root=root), flush=True)
    if not options.no_browser:  # what it asks for waits in the listening socket until the server runs
        threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            studio.leave()  # pages keep their event streams open: these end by themselves
            super().handle_exit(sig, frame)

    settings: dict[str, Any] = {"log_level": "warning", "timeout_graceful_shutdown": 2, "server_header": False}
    server = Server(uvicorn.Config(app, proxy_headers=False, **settings))
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        mark.unlink(missing_ok=True)
        lock.release()
    return 0


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a person has to hear it: an answer that was cut off by the end of the studio is nothing to report."""
    cut_off = record.exc_info is not None and isinstance(record.exc_info[1], asyncio.CancelledError)
    return not (cut_off or "timeout graceful shutdown exceeded" in record.getMessage())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tunesmith webui",
        description=tr("The studio in the browser: train, watch, look at data, chat, export. Runs go on without it."),
    )
    parser.add_argument("--host", default="127.0.0.1", help=tr("address to listen on; others than this machine's own "
                        "are only let in with a token (127.0.0.1)"))  # fmt: skip
    parser.add_argument("--port", type=int, default=None, help=tr("port (7860, or the next that is free); 0: any"))
    parser.add_argument("--no-browser", action="store_true", help=tr("don't open the browser"))
    parser.add_argument(
        "--workspace", default=".", metavar="DIR", help=tr("folder with data, saves and exports (here)")
    )
    parser.add_argument("--also", action="append", default=[], metavar="DIR",
                        help=tr("a further folder that the page may read and write; may be given again"))  # fmt: skip
    parser.add_argument("--token", nargs="?", const="auto", metavar="TOKEN",
                        help=tr("ask for a token on this machine too; it is made where none is given"))  # fmt: skip
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME",
                        help=tr("a name under which a proxy shows the page; may be given again"))  # fmt: skip
    return parser


def _listen(host: str, port: int | None) -> socket.socket:
    """A listening socket; UserError where the port is taken or the address is not this machine's."""
    ports = [port] if port is not None else range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        if os.name != "nt":  # there it would let two programs share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
            return listener
        except (OSError, OverflowError) as error:
            listener.close()
            last = error
    taken = tr("Can't listen on {host}, port {port}: {why}.").format(
        host=host, port=port if port is not None else f"{DEFAULT_PORT}–{DEFAULT_PORT + _PORTS_TRIED - 1}", why=last
    )
    raise UserError(taken, hint="Choose another with --port; --port 0 takes any that is free.")


def _address(host: str, port: int, token: str | None) -> str:
    """The address to open, with the token in it."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
