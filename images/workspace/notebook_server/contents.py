"""What the browser sees of the home: Jupyter's contents API over `Home`."""

import base64
import binascii
import hashlib
import json
import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from jupyter_server.services.contents.checkpoints import Checkpoints
from jupyter_server.services.contents.manager import ContentsManager
from tornado.web import HTTPError
from traitlets import Instance, default

from notebook_server.home import Entry, Home, Kind, NotPlainError, RefusedError, TooLargeError

Model = dict[str, Any]
"""A model of the contents API (jupyter_server, "Contents API")."""

_CHECKPOINTS = ".ipynb_checkpoints"
_CHECKPOINT = "checkpoint"


@contextmanager
def _answering(path: str) -> Iterator[None]:
    """Turn what a home refuses into the answer that says so."""
    try:
        yield
    except FileNotFoundError:
        raise HTTPError(404, f"No such file or directory: {path}") from None
    except FileExistsError:
        raise HTTPError(409, f"There is already something of that name: {path}") from None
    except (NotADirectoryError, IsADirectoryError):
        raise HTTPError(400, f"A file where a folder is expected, or the reverse: {path}") from None
    except TooLargeError as error:
        raise HTTPError(413, f"{path}: {error}") from None
    except NotPlainError as error:
        raise HTTPError(403, str(error)) from None
    except RefusedError as error:
        raise HTTPError(400, str(error)) from None
    except PermissionError:
        raise HTTPError(
            403,
            f"{path}: its permissions keep the notebook server out; "
            "`chmod u+w,g+rw` in a notebook lets it in.",
        ) from None
    except OSError as error:
        raise HTTPError(507, f"{path}: {error.strerror}") from None


class HomeCheckpoints(Checkpoints):
    """One checkpoint per file, beside it in `.ipynb_checkpoints`, as Jupyter keeps them."""

    parent: "HomeContents"

    def create_checkpoint(self, contents_mgr: "HomeContents", path: str) -> Model:
        """Copy a file to its checkpoint."""
        home, kept = contents_mgr.home, _kept(path)
        with _answering(path):
            data, _ = home.read(path)
            home.make_folder(str(PurePosixPath(kept).parent))
            return _checkpoint(home.write(kept, data))

    def restore_checkpoint(
        self, contents_mgr: "HomeContents", checkpoint_id: str, path: str
    ) -> None:
        """Copy a checkpoint back."""
        _must_be_known(checkpoint_id)
        with _answering(path):
            data, _ = contents_mgr.home.read(_kept(path))
            contents_mgr.home.write(path, data)

    def list_checkpoints(self, path: str) -> list[Model]:
        """Return the checkpoint, if there is one."""
        try:
            found = self.parent.home.look(_kept(path))
        except (OSError, RefusedError):
            return []
        return [_checkpoint(found)] if found.kind is Kind.FILE else []

    def rename_checkpoint(self, checkpoint_id: str, old_path: str, new_path: str) -> None:
        """Let the checkpoint follow its file."""
        _must_be_known(checkpoint_id)
        old, new = _kept(old_path), _kept(new_path)
        with _answering(new_path):
            self.parent.home.make_folder(str(PurePosixPath(new).parent))
            if self.list_checkpoints(new_path):
                self.parent.home.remove(new)
            self.parent.home.rename(old, new)

    def delete_checkpoint(self, checkpoint_id: str, path: str) -> None:
        """Remove the checkpoint."""
        _must_be_known(checkpoint_id)
        with _answering(path):
            self.parent.home.remove(_kept(path))


class HomeContents(ContentsManager):
    """Contents of the home; names that begin with a point are hidden."""

    home = Instance(Home)
    files_handler_class = None
    checkpoints_class = HomeCheckpoints

    @default("home")
    def _default_home(self) -> Home:
        return Home(Path(self.root_dir))

    def is_hidden(self, path: str) -> bool:
        """Tell whether some name in a path begins with a point."""
        return any(name.startswith(".") for name in path.strip("/").split("/"))

    def dir_exists(self, path: str) -> bool:
        """Tell whether there is a folder."""
        return self._kind(path) is Kind.FOLDER

    def file_exists(self, path: str = "") -> bool:
        """Tell whether there is a file."""
        return self._kind(path) is Kind.FILE

    def exists(self, path: str) -> bool:
        """Tell whether there is anything, be it what is never opened."""
        return self._kind(path) is not None

    def get(
        self,
        path: str,
        content: bool = True,  # noqa: FBT001, FBT002 - Jupyter's signature
        type: str | None = None,  # noqa: A002 - as above
        format: str | None = None,  # noqa: A002 - as above
        require_hash: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> Model:
        """Return the model of a file, notebook or folder, with what is in it if asked."""
        path = path.strip("/")
        self._must_be_shown(path)
        with _answering(path):
            found = self.home.look(path)
            if found.kind is Kind.FOLDER:
                if type not in {None, "directory"}:
                    raise HTTPError(400, f"{path} is a directory, not a {type}", reason="bad type")
                return self._folder_model(path, found, content=content)
            if type == "directory":
                raise HTTPError(400, f"{path} is not a directory", reason="bad type")
            if type is None:
                type = "notebook" if path.endswith(".ipynb") else "file"  # noqa: A001 - as above
            data = None
            if content or require_hash:
                data, found = self.home.read(path)
        model = _model(path, found) | {"type": type}
        if data is not None and require_hash:
            digest = hashlib.sha256(data).hexdigest()
            model |= {"hash": digest, "hash_algorithm": "sha256"}
        if data is not None and content:
            shown = self._notebook(path, data) if type == "notebook" else _shown(path, data, format)
            model |= shown
        elif type == "file":
            model["mimetype"] = mimetypes.guess_type(path)[0]
        return model

    def save(self, model: Model, path: str = "") -> Model:
        """Write what a model holds; return its model without the content."""
        path = path.strip("/")
        self._must_be_shown(path)
        kind = model.get("type")
        chunk = model.get("chunk")
        if kind not in {"directory", "file", "notebook"}:
            raise HTTPError(400, "A model says its type: directory, file or notebook.")
        if kind != "directory" and "content" not in model:
            raise HTTPError(400, "No file content provided")
        with _answering(path):
            if kind == "directory":
                self.home.make_folder(path)
            elif chunk is not None and chunk != 1:
                # Chunks are 1, 2, ... and -1 for the last one.
                self.home.append(path, _bytes(model))
            else:
                self.home.write(path, self._saved(model, path, kind))
        message = None
        if kind == "notebook":
            checked: Model = {"content": model["content"]}
            self.validate_notebook_model(checked)
            message = checked.get("message")
        saved = self.get(path, content=False, type=kind)
        if message:
            saved["message"] = message
        self.emit(data={"action": "save", "path": path})
        return saved

    def delete_file(self, path: str) -> None:
        """Remove a file, a link itself, or a folder with all that is in it."""
        path = path.strip("/")
        self._must_be_shown(path)
        with _answering(path):
            self.home.remove(path)

    def rename_file(self, old_path: str, new_path: str) -> None:
        """Rename a file or folder."""
        old_path, new_path = old_path.strip("/"), new_path.strip("/")
        if old_path == new_path:
            return
        self._must_be_shown(old_path)
        self._must_be_shown(new_path)
        with _answering(new_path):
            self.home.rename(old_path, new_path)

    def info_string(self) -> str:
        """Say what is served."""
        return "Serving the home; links in it are not followed."

    def get_kernel_path(self, path: str, model: Model | None = None) -> str:  # noqa: ARG002 - Jupyter's signature
        """Return the folder in which the kernel of a notebook starts."""
        return str(PurePosixPath(path).parent)

    def _kind(self, path: str) -> Kind | None:
        try:
            return self.home.look(path).kind
        except (OSError, RefusedError):
            return None

    def _must_be_shown(self, path: str) -> None:
        if path and self.is_hidden(path):
            raise HTTPError(404, f"No such file or directory: {path}")

    def _folder_model(self, path: str, found: Entry, *, content: bool) -> Model:
        model = _model(path, found) | {"type": "directory", "size": None}
        if not content:
            return model
        held = []
        for entry in self.home.list(path):
            name = entry.name
            if name.startswith(".") or not self.should_list(name) or not _is_text(name):
                continue
            below = f"{path}/{name}" if path else name
            kind = "notebook" if name.endswith(".ipynb") else "file"
            if entry.kind is Kind.FOLDER:
                kind = "directory"
            shown = _model(below, entry) | {"type": kind}
            if kind == "directory":
                shown["size"] = None
            held.append(shown)
        return model | {"content": held, "format": "json"}

    def _notebook(self, path: str, data: bytes) -> Model:
        wrong: dict[str, Any] = {}
        try:
            notebook = nbformat.reads(
                data.decode("utf-8"), as_version=4, capture_validation_error=wrong
            )
        except Exception as error:
            raise HTTPError(400, f"Unreadable Notebook: {path} {error!r}") from error
        self.mark_trusted_cells(notebook, path)
        model: Model = {"content": notebook, "format": "json"}
        self.validate_notebook_model(model, wrong)
        return model

    def _saved(self, model: Model, path: str, kind: str) -> bytes:
        if kind == "file":
            return _bytes(model)
        try:
            notebook = nbformat.from_dict(model["content"])
            self.check_and_sign(notebook, path)
            return nbformat.writes(notebook, version=nbformat.NO_CONVERT).encode() + b"\n"
        except HTTPError:
            raise
        except Exception as error:
            raise HTTPError(400, f"This is no notebook: {error}") from error


def _model(path: str, found: Entry) -> Model:
    return {
        "name": path.rsplit("/", 1)[-1],
        "path": path,
        "last_modified": _moment(found.modified),
        "created": _moment(found.created),
        "content": None,
        "format": None,
        "mimetype": None,
        "size": found.size,
        "writable": found.kind is not Kind.OTHER,
        "hash": None,
        "hash_algorithm": None,
    }


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, tz=UTC)


def _shown(path: str, data: bytes, form: str | None) -> Model:
    guessed = mimetypes.guess_type(path)[0]
    if form != "base64":
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            if form == "text":
                raise HTTPError(400, f"{path} is not UTF-8 encoded", reason="bad format") from None
        else:
            return {"content": text, "format": "text", "mimetype": guessed or "text/plain"}
    encoded = base64.b64encode(data).decode("ascii")
    return {
        "content": encoded,
        "format": "base64",
        "mimetype": guessed or "application/octet-stream",
    }


def _bytes(model: Model) -> bytes:
    form, content = model.get("format"), model["content"]
    try:
        if form == "text":
            return str(content).encode("utf-8")
        if form == "base64":
            return base64.b64decode(str(content).encode("ascii"))
        if form == "json":
            return json.dumps(content).encode("utf-8")
    except (UnicodeError, binascii.Error, ValueError) as error:
        raise HTTPError(400, f"This is no {form}: {error}") from None
    raise HTTPError(400, "A file's format is text or base64.")


def _is_text(name: str) -> bool:
    # Bytes that are no UTF-8 arrive as lone surrogates, which no JSON can carry.
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _kept(path: str) -> str:
    whole = PurePosixPath(path.strip("/"))
    name = f"{whole.stem}-{_CHECKPOINT}{whole.suffix}"
    return str(whole.parent / _CHECKPOINTS / name).removeprefix("./")


def _checkpoint(found: Entry) -> Model:
    return {"id": _CHECKPOINT, "last_modified": _moment(found.modified)}


def _must_be_known(checkpoint_id: str) -> None:
    if checkpoint_id != _CHECKPOINT:
        raise HTTPError(404, f"No such checkpoint: {checkpoint_id}")
