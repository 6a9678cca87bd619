"""One package per engine: its `CONFIG` (the keys under `[store]`) and its `STORE`."""
