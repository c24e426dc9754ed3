"""One readable page a stage, and the pipeline that runs them in order. Only here do strings and tensors meet."""
