"""Images: prepared as the model's own preprocessor_config.json says, encoded by any Hugging Face body of blocks."""
