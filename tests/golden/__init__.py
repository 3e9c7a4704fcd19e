"""Keep what the explorer paints as pictures: every view of a still and a clip that no model made.

run      the made-up still and clip, as the message that the server would send
stage    the explorer's real html, css and js on a bare page, and its pictures
compare  how far a picture may differ from the one that is kept

`python -m tests.golden` writes them anew; look at every one before it is committed.
"""
