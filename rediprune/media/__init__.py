"""Media station: whatever a person hands in -> upright 8-bit RGB frames, or one sentence saying why not.

    image         a picture: a file, bytes, an array            -> one frame
    video         a video file or an animated picture           -> T frames with their times
      sampling      which moments, and which frame is on screen then
      container     one video file as FFmpeg sees it, through PyAV
      clock         times as one line where the file's clock restarts
      stream        from a container, only what the moments need
      upright       a decoded frame as a player shows it
      animation     GIF, WebP, PNG and AVIF, through Pillow
    picture_file  opens a picture in spite of what no pixel needs
      file_parts    the parts of a file, and which of them pixels need
    limits        how long a reading may take, and how it is stopped from outside

`load_video` lives in `rediprune.media.video` and at the top of the package: who only looks at pictures
need not load FFmpeg.
"""

from .image import LoadedImage, MediaError, load_image
from .limits import ReadingStopped, TimeLimitReached

__all__ = ["LoadedImage", "MediaError", "ReadingStopped", "TimeLimitReached", "load_image"]
