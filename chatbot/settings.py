"""What an installation may set, from CHATBOT_* environment variables."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


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
    reply: Literal["template"] = "template"
    """How replies are worded."""
    explore: float = Field(default=0.0, ge=0, le=1)
    """Share of the conversations in which the policy at times tries another allowed action near its best."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe messages that are logged."""
    body_limit: int = Field(default=64 * 1024, ge=1024)
    """Largest request body that is read, in bytes; longer ones are answered with 413."""

    @property
    def keys(self) -> list[str]:
        parts = self.encryption_keys.get_secret_value().split(",")
        return [key.strip() for key in parts if key.strip()]
