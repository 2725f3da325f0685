"""Following a training in a library that draws curves; `train.jsonl` is written in any case."""
