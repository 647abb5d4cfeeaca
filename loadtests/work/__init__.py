"""What one arrival does: one file a work, table.py has them all, texts.py what people say."""
