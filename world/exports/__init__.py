"""Write the rendered world in the forms that others read: an lmms-eval task, and pictures for `check`."""
