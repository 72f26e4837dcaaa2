"""By which name a client of another protocol finds its conversation again."""

from sqlalchemy import Engine, delete, select

from storage.database import retry, transaction
from storage.tables import ConversationRow, ThreadRow


def find_thread(engine: Engine, name: str) -> str | None:
    """The conversation that was last given `name` and is not closed."""
    query = (
        select(ThreadRow.conversation_id)
        .join(ConversationRow, ConversationRow.id == ThreadRow.conversation_id)
        .where(ThreadRow.name == name, ConversationRow.status != "closed")
        .order_by(ThreadRow.created_at.desc(), ThreadRow.conversation_id)
    )

    def read() -> str | None:
        with transaction(engine) as session:
            return session.scalar(query.limit(1))

    return retry(read)


def name_thread(engine: Engine, name: str, conversation_id: str) -> None:
    with transaction(engine, write=True) as session:
        session.merge(ThreadRow(name=name, conversation_id=conversation_id))


def take_thread(engine: Engine, name: str) -> str | None:
    """Like find_thread, and nobody finds it under this name again."""
    with transaction(engine, write=True) as session:
        query = select(ThreadRow.conversation_id).where(ThreadRow.name == name).limit(1)
        conversation_id = session.scalar(query.with_for_update(skip_locked=True))
        if conversation_id is not None:
            mine = (ThreadRow.name == name, ThreadRow.conversation_id == conversation_id)
            session.execute(delete(ThreadRow).where(*mine))
        return conversation_id
