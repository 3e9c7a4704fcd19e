"""Check that a failed write leaves the old file, and that nothing in the project writes otherwise."""

import ast
import os
import resource
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

import rediprune
from rediprune import PruneConfig, save_trace
from rediprune.evaluation.bench import record
from rediprune.evaluation.bench.machine import Machine
from rediprune.evaluation.lmms.local import write_task
from rediprune.evaluation.lmms.record import Record
from rediprune.explainer.explainer import Explainer
from rediprune.files.atomic_write import UNFINISHED, replace_file, replace_files, write_bytes, write_text
from rediprune.media.save_clip import save_clip
from tests.support import tiny

ROOT = Path(rediprune.__file__).parents[1]
OLD = b'{"stood": "there before"}'  # JSON, for a trace replaces nothing else


@contextmanager
def full_disk(after: int = 512):
    """Limit files to so many bytes: a write beyond that gets an OSError, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def trace():
    return Explainer(tiny.model(), tiny.processor()).run(
        tiny.image(), "what color is the star", PruneConfig(0.25), max_new_tokens=2
    )


def noise(t: int) -> Image.Image:
    """Return a picture that no codec can compress well."""
    pixels = torch.randint(0, 256, (64, 64, 3), generator=torch.Generator().manual_seed(t))
    return Image.fromarray(pixels.byte().numpy())


def bench_runs():
    figures = [
        record.Figure(f"figure {i}", {"N": i}, "s", 1.0, 1.0, 1.0, "cpu", "float32", 1, 1) for i in range(9)
    ]
    return {"selection": record.BenchRun(Machine.here("cpu"), "cpu", True, 1.0, figures)}


def clip(path):
    save_clip([noise(t) for t in range(4)], path)


def lmms_task(path):
    document = dict.fromkeys(("id", "media", "start", "end", "question", "options", "answer", "kind"), "")
    write_task(path.parent, "task", [document | {"question": "x" * 100}] * 9)


def checkpoint(path):
    from world.training.loop import train

    module = torch.nn.Linear(8, 8)
    batch = torch.ones(1, 8)
    path.unlink()  # training goes on from a checkpoint that is there
    train(module, lambda rng, at: {"a": module(batch).sum()}, steps=1, lr=0.1, checkpoint=path)


WRITERS = {
    "run.json": lambda path, trace: save_trace(trace, path),
    "bench.json": lambda path, trace: record.save(bench_runs(), path),
    "clip.gif": lambda path, trace: clip(path),
    "clip.mp4": lambda path, trace: clip(path),
    "test.jsonl": lambda path, trace: lmms_task(path),
    "text.txt": lambda path, trace: write_text(path, "x" * 1000),
    "data.bin": lambda path, trace: write_bytes(path, b"x" * 1000),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_fills_in_the_middle_leaves_the_old_file(name, trace, tmp_path):
    path = tmp_path / name
    path.write_bytes(OLD)
    with full_disk(), pytest.raises(OSError):
        WRITERS[name](path, trace)
    assert path.read_bytes() == OLD
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", WRITERS)
def test_and_no_file_where_there_was_none(name, trace, tmp_path):
    with full_disk(), pytest.raises(OSError):
        WRITERS[name](tmp_path / name, trace)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_with_room_the_whole_file_takes_the_place_of_the_old_one(name, trace, tmp_path):
    path = tmp_path / name
    path.write_bytes(OLD)
    WRITERS[name](path, trace)
    assert path.stat().st_size > 512 and OLD not in path.read_bytes()
    assert not list(tmp_path.glob(f"{UNFINISHED}*"))


def test_a_checkpoint_of_the_training_is_whole_or_missing(tmp_path):
    path = tmp_path / "stage.pt"
    path.write_bytes(OLD)
    with full_disk(), pytest.raises((OSError, RuntimeError)):  # torch has its own word for it
        checkpoint(path)
    assert list(tmp_path.iterdir()) == []


def test_the_description_of_a_run_of_lmms_eval_stays_whole(tmp_path):
    run = Record(tmp_path, {"model": "tiny"})
    path = run.describe(complete=False)
    before = path.read_bytes()
    with full_disk(), pytest.raises(OSError):
        run.describe(complete=True, more="x" * 1000)
    run.close()
    assert path.read_bytes() == before


def test_a_folder_written_by_a_library_is_moved_in_whole_files(tmp_path):
    (tmp_path / "a.json").write_bytes(OLD)
    (tmp_path / "mine.txt").write_bytes(OLD)
    with full_disk(), pytest.raises(OSError), replace_files(tmp_path) as part:
        (part / "a.json").write_bytes(b"new")
        (part / "b.json").write_bytes(b"x" * 1000)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": OLD, "mine.txt": OLD}
    with replace_files(tmp_path) as part:
        (part / "a.json").write_bytes(b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.json": b"new", "mine.txt": OLD}


def test_an_error_of_the_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(OLD)
    with pytest.raises(KeyboardInterrupt), replace_file(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_bytes() == OLD and len(list(tmp_path.iterdir())) == 1


def test_the_file_keeps_its_mode_and_a_new_one_follows_the_umask(tmp_path):
    (tmp_path / "old").touch()
    (tmp_path / "old").chmod(0o640)
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "old", "x")
        write_text(tmp_path / "new", "x")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("old", "new")] == [0o640, 0o640]


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path):
    (tmp_path / "real").write_bytes(OLD)
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_what_is_no_regular_file_is_written_to_and_not_replaced():
    write_text("/dev/null", "x")
    assert not Path("/dev/null").is_file()


def test_the_error_names_the_file_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        write_text(tmp_path / "none" / "a.txt", "x")
    assert str(tmp_path / "none" / "a.txt") in str(error.value) and UNFINISHED not in str(error.value)


# The source: nothing writes a file past the module --------------------------------------------------------

WRITING = {"write_text", "write_bytes", "save", "savefig", "save_file", "save_pretrained", "dump", "tofile"}
WRITING |= {"open_memmap", "savez", "imsave", "to_csv", "copyfile", "copytree", "move", "rename"}
OURS = {"replace_file", "replace_files"}
# Calls that write to what they are handed, into memory, or grow one file over hours; with the reason.
ALLOWED = {
    "av.open(target, 'w', format='mp4'": "save_clip hands it a part, or a file object",
    "first.save(target, 'GIF'": "save_clip hands it a part, or a file object",
    "frame.save(out, format='PNG')": "into memory",
    "image.save(out, format=": "into memory",
    "path.open('a+b')": "the record of lmms-eval: appended to and synced line by line",
    "record.save(runs, args.out)": "a function of ours",
    "np.lib.format.open_memmap(path, ": "a memory map, with a count of what is ready",
    "model.half().save_pretrained(folder": "into the folder of replacing_files",
    "LlavaProcessor(": "into the folder of replacing_files",
    "self.save(self.record)": "a callback of ours that is called save",
}


def writes(tree: ast.AST, parts: frozenset = frozenset()):
    """Yield (line, source) of each call that writes a file, except to names that `replace_file` has bound."""
    for node in ast.iter_child_nodes(tree):
        bound = parts
        if isinstance(node, ast.With):
            for item in node.items:
                call = item.context_expr
                ours = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in OURS
                if ours and isinstance(item.optional_vars, ast.Name):
                    bound = bound | {item.optional_vars.id}
        if isinstance(node, ast.Call) and writing(node):
            used = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            if not used & bound:
                yield node.lineno, ast.unparse(node)
        yield from writes(node, bound)


def writing(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "open":
        given = call.args if isinstance(call.func, ast.Attribute) else call.args[1:]  # behind the name
        arguments = [*given, *(keyword.value for keyword in call.keywords)]
        modes = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        return any(set(mode) & set("wax+") and set(mode) <= set("rwaxbt+") for mode in modes)
    method = isinstance(call.func, ast.Attribute)
    return name in WRITING and (method or name == "save_file")


def found(source: str):
    return list(writes(ast.parse(source)))


def test_no_file_is_written_in_place():
    files = [
        ROOT / "app.py",
        *(p for house in ("app", "rediprune", "world") for p in (ROOT / house).rglob("*.py")),
    ]
    breaches, used = [], set()
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        for line, call in found(path.read_text(encoding="utf-8")):
            allowed = [start for start in ALLOWED if call.startswith(start)]
            used.update(allowed)
            if not allowed:
                breaches.append(f"{name}:{line} writes in place, use rediprune.files.atomic_write: {call}")
    assert breaches == []
    assert used == set(ALLOWED), "an entry of ALLOWED that nothing needs any more"


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("open('a', 'w')", 1),
        ("open('a', mode='ab')", 1),
        ("p.open('r+')", 1),
        ("open('a')", 0),
        ("p.open('rb')", 0),
        ("p.write_text('x')", 1),
        ("write_text(p, 'x')", 0),
        ("image.save(path)", 1),
        ("with replace_file(path) as part:\n    image.save(part)", 0),
        ("with replace_file(path) as part:\n    image.save(path)", 1),
        ("with replace_file(path) as part, part.open('w') as file:\n    pass", 0),
        ("torch.save(x, path)", 1),
        ("json.dump(x, file)", 1),
    ],
)
def test_the_reader_of_the_source_sees_what_writes(source, count):
    assert len(found(source)) == count
