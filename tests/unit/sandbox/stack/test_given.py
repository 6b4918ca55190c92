"""Servers that the environment names."""

from sandbox.stack.given import given_urls


def test_a_url_in_the_environment_is_taken_as_it_is() -> None:
    environment = {"RABBITMQ_URL": "amqp://h/v", "REDIS_URL": "redis://h/3", "DATABASE_URL": ""}

    assert given_urls(environment) == {"rabbitmq": "amqp://h/v", "redis": "redis://h/3"}


def test_postgres_parts_make_a_url_with_the_password_escaped() -> None:
    environment = {"POSTGRES_HOST": "db", "POSTGRES_PASSWORD": "p@/ss"}

    assert given_urls(environment) == {
        "postgres": "postgresql://lark:p%40%2Fss@db:5432/lark_service"
    }


def test_the_whole_database_url_wins_over_its_parts() -> None:
    environment = {"DATABASE_URL": "postgresql://x/y", "POSTGRES_HOST": "db"}

    assert given_urls(environment) == {"postgres": "postgresql://x/y"}
