"""Keep what version 0.1 named otherwise usable for one release, each use with a DeprecationWarning.

An old module path becomes a module that hands on every name of the new one; an old field of a record is
taken by its constructor and read as an attribute. Nothing inside the project uses either.
With the next release it goes: this file, its call in `__init__` and its test are all there is to delete.
"""

from __future__ import annotations

import functools
import importlib
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

from .tokens import Geometry, VisionTokens

# Old path -> new path, both under `rediprune.`. A folder's line serves all that is in it.
MOVED = {
    "ask": "explainer.ask",
    "bench": "evaluation.bench",
    "bench.answers": "evaluation.bench.answer_tables",
    "bench.conventions": "evaluation.bench.flops_conventions",
    "bench.large": "evaluation.bench.models_7b",
    "bench.standins": "evaluation.bench.dummy_inputs",
    "block": "pruning.patch",
    "card": "explainer.model_card",
    "check": "evaluation.check",
    "choice": "explainer.prompt_spec",
    "clip": "media.save_clip",
    "commands": "cli",
    "devices": "trace",
    "export": "replay.to_json",
    "fingerprint": "explainer.model_card",
    "flops": "costs.flops",
    "generate": "explainer.generate",
    "greedy": "selection.greedy",
    "holder": "explainer.model_holder",
    "lmms": "evaluation.lmms",
    "lmms.answering": "evaluation.lmms.generation",
    "lmms.asking": "evaluation.lmms.samples",
    "lmms.question": "evaluation.lmms.requests",
    "lmms.runs": "evaluation.lmms.results",
    "look": "explainer.encode",
    "media.either": "media.load",
    "media.upright": "media.orientation",
    "methods": "selection.methods",
    "models.anyres": "models.geometry.tiles",
    "models.base": "models.adapter",
    "models.call": "models.generate_call",
    "models.catalog": "models.checkpoints.catalog",
    "models.class_token": "models.class_attention",
    "models.download": "models.checkpoints.download",
    "models.encoding": "models.vision_encoder",
    "models.error": "models.errors",
    "models.failures": "models.checkpoints.error_messages",
    "models.internvl": "models.families.internvl",
    "models.llava": "models.families.llava",
    "models.llava_next": "models.families.llava_next",
    "models.llava_next_video": "models.families.llava_next_video",
    "models.llava_onevision": "models.families.llava_onevision",
    "models.loading": "models.checkpoints.loading",
    "models.memory": "models.checkpoints.memory",
    "models.mixing": "models.geometry.bilinear",
    "models.mrope": "models.families.mrope",
    "models.packing": "models.geometry.packing",
    "models.placement": "models.checkpoints.placement",
    "models.progress": "models.checkpoints.progress",
    "models.qwen2_5_vl": "models.families.qwen2_5_vl",
    "models.qwen3_vl": "models.families.qwen3_vl",
    "models.records": "models.outputs",
    "models.refusals": "models.unsupported",
    "models.video_llava": "models.families.video_llava",
    "models.view": "models.geometry.tiled_view",
    "models.vipllava": "models.families.vipllava",
    "palette": "draw.palette",
    "prompt": "query.question",
    "prune": "pruning.prune",
    "pruned": "pruning.report",
    "recent": "explainer.lru_cache",
    "recorded": "replay.recorded_run",
    "restored": "replay.from_json",
    "savings": "costs.estimate",
    "stopwatch": "costs.stopwatch",
    "sweep": "evaluation.sweep",
    "sweep_report": "evaluation.sweep_report",
    "text_tower": "query.text_tower",
    "trace_file": "replay.file",
    "values": "replay.checked_json",
    "walk": "selection.greedy_loop",
}
# New path -> old name of something in it -> its new name; an old path still hands it on by the old name.
RENAMED = {
    "explainer.ask": {"Asked": "PreparedQuestion", "put_question": "prepare_question"},
    "explainer.encode": {
        "Look": "Encoding",
        "Shown": "MediaInput",
        "processed": "run_processor",
        "shown_media": "as_media_input",
    },
    "explainer.generate": {
        "Expected": "Expectation",
        "Generated": "GeneratedAnswer",
        "decoded": "decode_answer",
        "divergence": "kl_divergence",
        "expected": "expect_answer",
    },
    "explainer.lru_cache": {"Recent": "LruCache"},
    "explainer.model_card": {"weights_name": "weights_fingerprint"},
    "explainer.model_holder": {"OneModel": "ModelHolder"},
    "explainer.prompt_spec": {"Choice": "PromptSpec"},
    "pruning.patch": {
        "CallNumbers": "CallCounter",
        "Generate": "GeneratePatch",
        "ToEnter": "PruneContext",
    },
    "replay.checked_json": {
        "all_numbers": "get_fields",
        "finite": "to_finite",
        "flat": "flatten",
        "number": "to_number",
        "part": "get_part",
        "text": "get_text",
        "texts": "get_texts",
        "whole": "to_whole",
    },
    "replay.from_json": {"restored": "from_dict"},
    "replay.recorded_run": {"Recorded": "RecordedRun"},
}
# A record -> its old fields and what they are called now.
RENAMED_FIELDS: dict[type, dict[str, str]] = {
    Geometry: {"whole": "n_global", "uneven": "cell_edges"},
    VisionTokens: {"present": "valid"},
}
_PACKAGE = __package__ + "."


def new_path(old: str) -> str | None:
    """Return the new name of a module of version 0.1 (`rediprune.` included), None if it did not move."""
    path = old.removeprefix(_PACKAGE)
    if path in MOVED:
        return _PACKAGE + MOVED[path]
    folder, _, name = path.rpartition(".")
    return f"{_PACKAGE}{MOVED[folder]}.{name}" if folder in MOVED else None


def install() -> None:
    """Let imports of old paths and uses of old fields succeed; a second call does nothing.

    The finder of old paths comes last, so a module that exists is never shadowed.
    """
    if any(isinstance(finder, _OldPaths) for finder in sys.meta_path):
        return
    sys.meta_path.append(_OldPaths())
    for record, names in RENAMED_FIELDS.items():
        _accept_old_fields(record, names)


def _accept_old_fields(record: type, names: dict[str, str]) -> None:
    """Let the constructor of a dataclass take old field names, and its instances be read by them."""

    def warn(old: str) -> None:
        warnings.warn(
            f"{record.__name__}.{old} is now {names[old]}: the old name goes with the next release",
            DeprecationWarning,
            stacklevel=3,  # the line that uses the old name
        )

    def with_new_names(new_init):
        @functools.wraps(new_init)
        def init(self, *args, **kwargs) -> None:
            for old in names.keys() & kwargs.keys():
                warn(old)
                # dataclasses.replace gives the new name too, with the value that is to be replaced.
                kwargs[names[old]] = kwargs.pop(old)
            new_init(self, *args, **kwargs)

        return init

    def reader(old: str) -> property:
        def read(self) -> object:
            warn(old)
            return getattr(self, names[old])

        return property(read, doc=f"Return `{names[old]}`, by its name of version 0.1.")

    type.__setattr__(record, "__init__", with_new_names(vars(record)["__init__"]))
    for old in names:
        setattr(record, old, reader(old))


class _OldPaths(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        if not fullname.startswith(_PACKAGE) or new_path(fullname) is None:
            return None
        return ModuleSpec(fullname, self, is_package=fullname.removeprefix(_PACKAGE) in MOVED)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = new_path(spec.name)
        warnings.warn(
            f"{spec.name} is now {new}: the old path goes with the next release",
            DeprecationWarning,
            stacklevel=2,  # the line that holds the import: frames of importlib are passed over
        )
        return _HandsOn(spec.name, importlib.import_module(new))

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the new module has run already."""

    def get_code(self, fullname: str) -> CodeType:
        """Return a program that runs the new module, for `python -m` with an old path."""
        source = (
            f"import runpy\nrunpy.run_module({new_path(fullname)!r}, run_name='__main__', alter_sys=True)"
        )
        return compile(source, f"<{fullname}>", "exec")


class _HandsOn(ModuleType):
    """Hand on the names of another module. Called, `rediprune.prune` is still the function."""

    def __init__(self, name: str, new: ModuleType) -> None:
        super().__init__(name, new.__doc__)
        self._new = new
        self.__path__ = []  # what was in an old folder is asked for by its own old path

    def __getattr__(self, name: str) -> object:
        renamed = RENAMED.get(self._new.__name__.removeprefix(_PACKAGE), {})
        return getattr(self._new, renamed.get(name, name))

    def __dir__(self) -> list[str]:
        return dir(self._new)

    def __call__(self, *args, **kwargs):
        return getattr(self._new, self.__name__.rpartition(".")[2])(*args, **kwargs)
