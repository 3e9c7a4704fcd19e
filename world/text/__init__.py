"""Ask and phrase: questions about scenes and clips, the tokenizer, and how texts are packed for training."""
