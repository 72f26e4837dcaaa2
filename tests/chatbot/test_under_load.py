"""Short runs of the benchmarks that hold real servers, real databases and real clients against each other."""

from benchmarks.concurrency import converse
from benchmarks.crash import crash
from benchmarks.plain_server import running_plain_servers
from storage.database import open_database
from storage.migration import check, upgrade


def test_servers_that_are_killed_lose_and_double_nothing(database_url: str) -> None:
    engine = open_database(database_url)
    upgrade(engine)
    engine.dispose()
    figures = crash(database_url, kills=3, clients=3, seed=1)
    assert figures["problems"] == []
    assert figures["transfers"] > 0


def test_two_servers_keep_the_order_of_every_conversation(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    upgrade(engine)
    with running_plain_servers(postgres_url, processes=2) as servers:
        servers.wait()
        for clients, conversations in ((8, 1), (4, 10)):
            figures = converse(servers.urls, clients, conversations, messages=64)
            assert figures["problems"] == []
    assert check(engine) == []
    engine.dispose()
