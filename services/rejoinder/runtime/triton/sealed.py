"""What a version's folder is, by its files. Copied beside model.py, so it imports nothing of ours."""

import hashlib

#: Programs that lie there beside the model's own files.
PROGRAMS = ("model.py", "sealed.py")
#: A file of this name: where the interpreter can make no such folder it keeps nothing compiled, and to Triton a version
#: in which anything was written is another, which is loaded anew whenever one is added or dropped.
NOT_COMPILED = "__pycache__"


def digest_of(folder):
    """SHA-256 as core/modelfolder.py has it, over (name, SHA-256 of content) of every file of the model, by name."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name not in ("digest", "measured.json", NOT_COMPILED, *PROGRAMS) and path.is_file():
            with path.open("rb") as file:
                total.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def version_of(digest):
    """The number that Triton knows a digest by: its first 15 hex digits, for its versions are of 63 bits."""
    # Never 0, which Triton takes for "any".
    return str(int(digest[:15], 16) or 1)


def fault(folder):
    """What is wrong with a version's folder, "" where it is what its digest and its number say."""
    said = folder / "digest"
    if not said.is_file():
        return "the version has no digest"
    found = digest_of(folder)
    if found != said.read_text("utf-8").strip():
        return "the model's files are not what their digest says"
    return "" if version_of(found) == folder.name else "the version's number is another digest's"
