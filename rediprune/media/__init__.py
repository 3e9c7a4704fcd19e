"""Read pictures and videos as upright 8-bit RGB frames, or say in one sentence why that is not possible.

    load          a file of either kind
    image         a picture: a file, bytes, an array            -> one frame
    video         a video file or an animated picture           -> T frames with their times
      sampling      the moments, and the frame that is on screen at each
      container     one video file as FFmpeg sees it, through PyAV
      clock         times without jumps where the file's clock restarts
      stream        the frames at the moments, decoded from a container
      orientation   a decoded frame as a player shows it
      animation     GIF, WebP, PNG and AVIF, through Pillow
    picture_file  opens a picture whose metadata is damaged
      file_parts    the parts of a file, and which of them pixels need
    limits        bounds on the time of a reading, and stopping it from outside
    save_clip     frames                                        -> H.264 or GIF

`load_video` is in `rediprune.media.video` and at the top of the package, so that code that only reads
pictures need not load FFmpeg.
"""

from .image import LoadedImage, MediaError, load_image
from .limits import ReadingStopped, TimeLimitReached

__all__ = ["LoadedImage", "MediaError", "ReadingStopped", "TimeLimitReached", "load_image"]
