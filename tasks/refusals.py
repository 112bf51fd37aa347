"""The errors that tools raise when the outside world says no for good.

What may pass is `models.errors.Unavailable`, which the engine retries; these are final.
"""

from models.errors import NotFound, Unprocessable


class ModelRefused(Unprocessable):
    """The model's provider will not take this request."""

    code = "model_refused"


class InputRefused(ModelRefused):
    """The model will not take this text."""

    code = "input_refused"


class FetchRefused(Unprocessable):
    """This address cannot be fetched."""

    code = "fetch_refused"


class FetchFailed(Unprocessable):
    """The server has no such file for us."""

    code = "fetch_failed"


class BlobMissing(NotFound):
    """These bytes are not in the blob store."""

    code = "blob_missing"


class IndexRefused(Unprocessable):
    """The search index will not take this request."""

    code = "index_refused"


class MailRefused(Unprocessable):
    """The mail server will not take this mail."""

    code = "mail_refused"


class BookNLPFailed(Unprocessable):
    """BookNLP could not read this book."""

    code = "booknlp_failed"


class BookNLPUnfit(Unprocessable):
    """BookNLP cannot work on this machine."""

    code = "booknlp_unfit"


class SpeechRefused(Unprocessable):
    """The speech server will not give us a token."""

    code = "speech_refused"
