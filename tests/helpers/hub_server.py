"""A stand-in for the hub: keeps what is committed, by the protocol that huggingface_hub speaks."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """What the server has been told."""

    def __init__(self):
        self.repositories: dict[str, dict] = {}  # by type and id, how it was made
        self.files: dict[str, dict[str, bytes]] = {}
        self.cards: list[dict] = []  # that the client asked whether they are right
        self.refuse: set[str] = set()  # parts of paths that are answered with 403

    def answer(self, path, body, token):
        """Return status and JSON for a request."""
        if not token:
            return 401, {"error": "Invalid username or password."}
        if any(part in path for part in self.refuse):
            return 403, {"error": "You don't have the rights to write here"}
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
            known = f"{asked.get('type') or 'model'}s/{repo}"
            status = 409 if known in self.repositories else 200
            self.repositories.setdefault(known, asked)
            return status, {"url": f"https://huggingface.co/{repo}", "name": repo}
        if path == "/api/validate-yaml":
            self.cards.append(json.loads(body))
            return 200, {"errors": [], "warnings": []}
        _, _, kind, user, name, what, _ = path.split("?")[0].split("/")
        repo = f"{kind}/{user}/{name}"
        if what == "preupload":
            files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for f in json.loads(body)["files"]]  # fmt: skip
            return 200, {"files": files}
        assert what == "commit"
        kept = self.files.setdefault(repo, {})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                kept[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return 200, {
            "commitUrl": f"https://huggingface.co/{user}/{name}/commit/0",
            "commitOid": "0" * 40,
        }


@contextmanager
def hub_server(monkeypatch, token="hf_token"):
    """Serve a hub in this process, to which the client of this process speaks."""
    import huggingface_hub.constants

    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, found = hub.answer(self.path, body, self.headers.get("Authorization"))
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}"
    )
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN", False)
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
