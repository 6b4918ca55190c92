"""What a user would do instead of the gateway, each as one process that can be read in a minute.

All of them are told by the environment where things are (FEISHU_URL, FEISHU_TOKEN, REDIS_URL,
RABBITMQ_URL), how long they go on (SECONDS), and what the limit is (WINDOWS).
"""
