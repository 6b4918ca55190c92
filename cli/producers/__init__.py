"""`lark-service producer`: which RabbitMQ user may call what."""
