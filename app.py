"""Start the page: by `python app.py`, by `gradio app.py`, or as a Space. Flags: `python app.py --help`.

A Space has no command line, so its variables REDIPRUNE_MODEL, _DEVICE, _DTYPE and _QUANTISE stand for the
flags of these names. Only this file reads them, and those of ZeroGPU.
"""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: else it asks other hosts
UPLOADS = None  # the folder for visitors' files, where this process has one of its own
if __name__ == "__main__" and "gradio" not in sys.modules:  # which reads its folder when it is imported
    from app.start.upload_folder import new_folder

    UPLOADS = new_folder(os.environ)
    os.environ["GRADIO_TEMP_DIR"] = str(UPLOADS)

ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in {"1", "t", "true"}
if ZERO_GPU:
    import spaces  # the Space brings it along; before anything that may touch CUDA

SHARED = (
    "everyone who opens this page shares its model, so visitors cannot change it: start the page yourself, "
    "or duplicate the Space and set its variable REDIPRUNE_MODEL"
)

# `gradio app.py` makes this file the module "app", in front of the folder: let it find the folder's modules.
__path__ = [str(Path(__file__).resolve().with_name("app"))]


def flags() -> argparse.Namespace:
    """Read the command line; variables stand for flags that are not given."""
    parser = argparse.ArgumentParser(
        description="See what ReDiPrune keeps of a picture, and what that saves.",
        epilog="Variables REDIPRUNE_MODEL, REDIPRUNE_DEVICE, ... stand for the flags.",
    )

    def say(flag: str, **how) -> None:
        parser.add_argument(flag, **how)

    def also(flag: str, otherwise: str | None = None, **how) -> None:
        variable = "REDIPRUNE_" + flag.removeprefix("--").upper()
        say(flag, default=os.environ.get(variable) or otherwise, **how)

    also(
        "--model",
        help="a folder, a Hub name such as llava-hf/llava-1.5-7b-hf, or small for the real model that fits "
        "this machine best (default: the built-in model)",
    )
    also("--device", help="cpu, cuda, mps or auto (default: auto; cpu for the built-in model)")
    also("--dtype", "auto", help="auto (default), float32, bfloat16 or float16")
    also("--quantise", help="int8 or int4; needs bitsandbytes and accelerate")
    say(
        "--trust-remote-code",
        action="store_true",
        help="run Python code that comes with --model, where transformers has no class for it: read it "
        "before, as it can do whatever you can; never for models that visitors open",
    )
    say("--host", help="address to listen on, 0.0.0.0 for all (default: this machine only)")
    say("--port", type=int, help="default: the first free one from 7860")
    say(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name that the page is reached by, such as that of a reverse proxy in front of it; * for "
        "any; may be given several times (default: this machine's own names, by what --host says)",
    )
    say("--share", action="store_true", help="also make a public link, through Gradio's servers")
    say(
        "--fixed-model",
        action=argparse.BooleanOptionalAction,
        help="whether visitors may not change the model (default: where others than this machine reach the "
        "page: on a Space, with --share, with a --host)",
    )
    say(
        "--mcp",
        action="store_true",
        default=os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true",  # Gradio's own, for Spaces
        help="also offer the page's endpoints to language models as tools, at /gradio_api/mcp/; needs: "
        'pip install "gradio[mcp]"',
    )
    found = parser.parse_args()
    if found.mcp and find_spec("mcp") is None:
        get = f'{sys.executable} -m pip install "gradio[mcp]"'
        sys.exit(f"--mcp needs the package mcp, which this Python has not: {get}")
    return found


def models_for(args: argparse.Namespace):
    """Return the holder of the model; loaded once per process, as `gradio app.py` reruns this file."""
    from rediprune import Explainer
    from rediprune.explainer.model_holder import ModelHolder

    kept = sys.modules.setdefault("_rediprune_kept", ModuleType("_rediprune_kept")).__dict__
    if (old := kept.get("models")) is not None:  # the same weights under the edited code
        with old.borrow() as one:
            explainer = Explainer(one.model, one.processor, one.name, one.card, settings=one.settings)
    else:
        explainer = first_explainer(args)
    kept["models"] = ModelHolder(
        explainer,
        device="cpu" if ZERO_GPU else args.device or "auto",
        dtype=args.dtype,
        quick=not ZERO_GPU,
    )
    return kept["models"]


def first_explainer(args: argparse.Namespace):
    """Open the model that the flags name, here or, on ZeroGPU, where the lent GPU will find it."""
    from rediprune import Explainer

    if ZERO_GPU and args.quantise:
        sys.exit(
            "int8 and int4 are not offered on ZeroGPU: take REDIPRUNE_QUANTISE out of the Space's settings"
        )
    device = args.device or ("cpu" if args.model is None else "auto")
    how = {
        "device": "cpu" if ZERO_GPU else device,
        "dtype": args.dtype,
        "quantise": args.quantise,
        "trust_remote_code": args.trust_remote_code,
    }
    try:
        source = {} if args.model is None else {"name_or_dir": model_name(args.model, how["device"])}
        explainer = Explainer.from_pretrained(**source, **how, quick=not ZERO_GPU)
        if not ZERO_GPU:
            return explainer
        from gradio import Error

        from app.model.zero_gpu import ZeroGpuExplainer

        explainer.model.to("cuda")  # `spaces` holds it back until a GPU is lent
        return ZeroGpuExplainer(explainer, spaces.GPU, Error)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(str(error))


def model_name(wanted: str, device: str) -> str:
    """Return the model that a flag names; "small" stands for the real one that fits this machine best."""
    from app.start.small_model import is_small, small_model

    return small_model(device) if is_small(wanted) else wanted


def make_demo(args: argparse.Namespace):
    """Build the page. The built-in model answers now; others, and a lent GPU, when the page is opened."""
    from app.page.build import build_demo

    first_run = args.model is None and not ZERO_GPU
    return build_demo(models_for(args), first_run=first_run, fixed=SHARED if fixed_model(args) else "")


def fixed_model(args: argparse.Namespace) -> bool:
    """Return whether visitors may not change the model, because all share it and a name may be any folder."""
    from app.start.address import is_loopback

    if ZERO_GPU or args.fixed_model is not None:
        return ZERO_GPU or args.fixed_model
    host = args.host or os.environ.get("GRADIO_SERVER_NAME")  # without a flag, Gradio asks its variables
    shared = args.share or os.environ.get("GRADIO_SHARE", "").lower() == "true"
    return shared or "SPACE_ID" in os.environ or not is_loopback(host)


def host_rules(args: argparse.Namespace, demo):
    """Return which hosts and origins are served; a Space may be opened, embedded and asked by everyone."""
    from app.server import HostRules

    allowed = ["*"] if "SPACE_ID" in os.environ else args.allowed_host
    listens = args.host or os.environ.get("GRADIO_SERVER_NAME")
    return HostRules(listens, allowed, shared=lambda: demo.share_url)


def serve_tools(demo, options: dict) -> None:
    """Serve the page and its tools until the process is ended."""
    from app.api import mcp as tools

    try:
        tools.launch(demo, **options)
    except (RuntimeError, OSError) as error:
        sys.exit(str(error))
    demo.block_thread()


def prepare_process(args: argparse.Namespace) -> None:
    """Check the address, claim the folder for files and catch signals, all before the model is loaded."""
    from app.start import address, signals

    host = args.host or os.environ.get("GRADIO_SERVER_NAME")
    port = os.environ.get("GRADIO_SERVER_PORT") if args.port is None else args.port
    if reason := address.why_not_served(host, port):
        sys.exit(reason)
    clean_up = claim_uploads() if UPLOADS else lambda: None
    signals.end_at_once(clean_up, close=lambda: demo and demo.close(verbose=False))


def claim_uploads():
    """Make this process's folder for visitors' files and remove those left behind; return what removes it."""
    from app.start import upload_folder

    try:
        lock = upload_folder.claim(UPLOADS)
    except OSError as error:
        sys.exit(str(error))
    upload_folder.remove_left_behind(UPLOADS.parent)

    def clean_up() -> None:
        upload_folder.remove(UPLOADS, lock)

    atexit.register(clean_up)
    return clean_up


def serve(demo, options: dict) -> None:
    """Serve the page until the process is ended."""
    try:
        demo.launch(mcp_server=False, **options)
    except OSError as error:  # the port was taken while the model was loaded
        sys.exit(str(error))


def check_uploads() -> None:
    """End with a sentence, before a model is loaded, if visitors' files could not be written later."""
    from app.start.upload_folder import check_writable

    folder = UPLOADS
    if folder is None:
        from gradio.utils import get_upload_folder

        folder = Path(get_upload_folder())
    try:
        check_writable(folder)
    except OSError as error:
        sys.exit(str(error))


args = flags()
demo = None
if __name__ == "__main__":
    prepare_process(args)
check_uploads()
demo = make_demo(args)

if __name__ == "__main__":
    from app.page.build import launch_options

    options = {
        "server_name": args.host,
        "server_port": args.port,
        "share": args.share,
        "ssr_mode": False,  # a Space renders on its server by default; the page is made and tested without
        **launch_options(host_rules(args, demo)),
    }
    if args.mcp:
        serve_tools(demo, options)
    else:
        serve(demo, options)
