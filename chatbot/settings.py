"""What an installation may set, from CHATBOT_* environment variables."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


def _rate(text: str) -> str:
    from limits import parse

    if text:
        parse(text)  # raises ValueError
    return text


class Settings(BaseSettings):
    """Every field is the environment variable CHATBOT_<FIELD>; the defaults run the shipped demo."""

    model_config = SettingsConfigDict(env_prefix="CHATBOT_", frozen=True, use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every interface."""
    port: int = Field(default=7860, ge=0, le=65535)
    """Port to listen on."""
    database: str = "sqlite:///chatbot.db"
    """SQLAlchemy URL of the database that holds conversations, such as postgresql+psycopg://…"""
    encryption_keys: SecretStr = SecretStr("")
    """Keys for texts and values in the database, newest first, separated by commas. Without one they
    stand there in clear."""
    encryption: Literal["optional", "required"] = "optional"
    """Whether the program refuses to work without a key."""
    domain: Path = ROOT / "domains" / "banking"
    """Folder of the domain pack to serve."""
    models: Path = ROOT / "models"
    """Folder of the trained models."""
    nlu: Path | None = None
    """Folder of the NLU to serve, in place of the models' own."""
    runs: Path = Path("runs")
    """Folder for what is retrained from the page: candidates, reports, models."""
    reply: Literal["template", "moe", "openai"] = "template"
    """How replies are worded: by the pack's phrasings, by the generator in models/generator, or by a server
    that speaks OpenAI's protocol. What is generated is checked; where it fails, the phrasings serve."""
    reply_seconds: float = Field(default=3.0, gt=0)
    """For which a customer waits for a generator; then the pack's phrasing is sent."""
    openai_url: str = ""
    """Base address of the server for --reply openai, such as http://localhost:8000/v1."""
    openai_model: str = ""
    """The model's name on that server."""
    openai_key: SecretStr = SecretStr("")
    """The key for that server, where it wants one."""
    explore: float = Field(default=0.0, ge=0, le=1)
    """Share of the conversations in which the policy at times tries another allowed action near its best."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe messages that are logged."""
    log_format: Literal["text", "json"] = "text"
    """One line of text, or one JSON object with the ids of request and conversation."""
    body_limit: int = Field(default=64 * 1024, ge=1024)
    """Largest request body that is read, in bytes; longer ones are answered with 413."""
    body_seconds: float = Field(default=15, gt=0)
    """In which a request's body has to come; a slower one is answered with 408."""
    portal: Path | None = None
    """YAML file of the sites that may embed the chat and of the webhooks: see docs/embedding.md."""
    demo: bool = True
    """Whether /demo shows the portal of the pack's fictional business, where the pack has one."""
    open_api: bool = False
    """Whether the Rasa and OpenAI endpoints take callers without a key. Only behind your own firewall."""
    rate_visitor: Annotated[str, AfterValidator(_rate)] = "120/minute"
    """Requests of one visitor; empty for no limit."""
    rate_key: Annotated[str, AfterValidator(_rate)] = "1200/minute"
    """Requests with one API key; empty for no limit."""
    rate_start: Annotated[str, AfterValidator(_rate)] = "300/minute"
    """New conversations from one address without a key; empty for no limit."""

    @property
    def keys(self) -> list[str]:
        parts = self.encryption_keys.get_secret_value().split(",")
        return [key.strip() for key in parts if key.strip()]
