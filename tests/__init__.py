import gen_models  # noqa: F401 - before torch, to which it says how threads wait
