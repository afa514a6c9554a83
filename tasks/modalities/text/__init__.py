"""Text: tokenised with the model's own fast tokenizer, encoded by any Hugging Face encoder or causal decoder."""
