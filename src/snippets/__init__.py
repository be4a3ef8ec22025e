"""The tested code of Recent LLM Advances: one module per concept."""
