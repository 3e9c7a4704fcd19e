"""A plug-in for lmms-eval: `lmms-eval --model rediprune --model_args pretrained=...,keep_ratio=0.15`.

lmms-eval brings benchmarks, prompts and scores; it knows this package by the entry point `manifest`. The path
of one sample through the files:

    settings    model_args                             -> what is run, refused early
    question    a request                              -> what is asked, with decoding: generation_kwargs are
                                                          honoured or refused aloud
    asking      media and text of a sample             -> look, ask, select of our own Explainer
    answering   a batch of those, spliced together     -> answers, or losses of given answers
    record      every answer with the kept counts      -> a log that a killed run goes on from
    model       lmms-eval's model class: holds the above together

Beside it: provenance (which weights, which versions), runs and compare (two runs, sample by sample, with an
interval), local (benchmarks from files on this machine, in one format; intentqa and star write it).

Only `model` imports lmms_eval. It pins older packages and belongs into an environment of its own; see
docs/benchmarks.md.
"""

from __future__ import annotations


def manifest():
    """What lmms-eval's registry asks of an entry point in the group `lmms_eval.models`."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id="rediprune", simple_class_path="rediprune.evaluation.lmms.model.ReDiPrune")
