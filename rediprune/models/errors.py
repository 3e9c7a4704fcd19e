"""What is raised where a model or its input cannot be used."""


class ModelError(RuntimeError):
    """A model, processor or input that cannot be used; the message is one sentence for a user."""


USER_ERRORS = (ValueError, OSError, ModelError)  # their messages are written for the person who asked
