"""The page: `python app.py`, `gradio app.py`, and what a Space runs. Flags: `python app.py --help`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from types import ModuleType

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: else it asks other hosts

# `gradio app.py` makes this file the module "app", in front of the folder: let it find the folder's modules.
__path__ = [str(Path(__file__).resolve().with_name("app"))]


def flags() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="See what ReDiPrune keeps of a picture, and what that saves."
    )
    say = parser.add_argument
    say(
        "--model",
        help="a folder, or a Hub name such as llava-hf/llava-1.5-7b-hf (default: the built-in model)",
    )
    say("--device", default="cpu", help="cpu (default), cuda or mps")
    say("--dtype", default="auto", help="auto (default), float32, bfloat16 or float16")
    say("--host", help="address to listen on, 0.0.0.0 for all (default: this machine only)")
    say("--port", type=int, help="default: the first free one from 7860")
    say("--share", action="store_true", help="also make a public link, through Gradio's servers")
    return parser.parse_args()


def explainer_for(args: argparse.Namespace):
    """The model, read once per process: `gradio app.py` runs this file again at every edit."""
    from rediprune import Explainer

    kept = sys.modules.setdefault("_rediprune_kept", ModuleType("_rediprune_kept")).__dict__
    if (old := kept.get("explainer")) is not None:  # the same weights under the edited code
        return Explainer(old.model, old.processor, old.name, old.card)
    source = {} if args.model is None else {"name_or_dir": args.model}
    try:
        kept["explainer"] = Explainer.from_pretrained(**source, device=args.device, dtype=args.dtype)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(str(error))
    return kept["explainer"]


def make_demo(args: argparse.Namespace):
    """The page. Another model than the built-in one may be slow: it answers first when the page is opened."""
    from app.ui import build_demo

    return build_demo(explainer_for(args), first_run=args.model is None)


args = flags()
demo = make_demo(args)

if __name__ == "__main__":
    from app.ui import launch_options

    demo.launch(server_name=args.host, server_port=args.port, share=args.share, **launch_options())
