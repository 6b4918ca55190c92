"""`lark-service app`: many apps in one gateway."""
