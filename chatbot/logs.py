"""Logging of the server: card numbers and the like never reach a handler unmasked."""

import logging

from storage.masking import MaskingFilter


def configure_logging(level: str) -> None:
    """Log to standard error at `level`, masked; uvicorn's own handlers are masked too."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in (None, "uvicorn", "uvicorn.error", "uvicorn.access"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(MaskingFilter())
