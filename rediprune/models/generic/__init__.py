"""Serve a model by one declarative line about it, or by what a run of it shows.

line        what has to be said about a family: where its projector is, and what its overlay looks like
lines       the line of every family that is served this way
rows        read what the projector is given, and find by codes which placeholder each of it goes to
projection  run the projector on some of the tokens, in the shapes that the model itself uses
views       which tokens make up an image, a tile or a frame; overlays: where they lie in the upload
delivery    hand a shortened prompt to the model as ids and encoder outputs
tracing     find the projector of a model that no line describes
adapter     all of it together, as an Adapter
"""
