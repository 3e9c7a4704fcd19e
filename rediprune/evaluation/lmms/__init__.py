"""Plug into lmms-eval: `lmms-eval --model rediprune --model_args pretrained=...,keep_ratio=0.15`.

lmms-eval brings benchmarks, prompts and scores; it knows this package by the entry point `manifest`. The path
of one sample through the files:

    settings      model_args                            -> what is run; bad values are refused early
    requests      a request                             -> its question, with decoding: generation_kwargs are
                                                           honoured or refused with an error
    samples       media and text of a sample            -> look, ask, select of the Explainer
    generation    a batch of samples, spliced together  -> answers, or losses of given answers
    record        every answer with the kept counts     -> a log that a killed run continues from
    model         lmms-eval's model class: uses the modules above

Beside it: provenance (which weights, which versions), results and compare (two runs, sample by sample, with
an interval), local (benchmarks from files on this machine in one format; intentqa and star write it).

Only `model` imports lmms_eval, which pins older packages and belongs into an environment of its own; see
docs/benchmarks.md.
"""

from __future__ import annotations


def manifest():
    """Return what lmms-eval's registry asks of an entry point in the group `lmms_eval.models`."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="rediprune", simple_class_path="rediprune.evaluation.lmms.model.ReDiPrune")
