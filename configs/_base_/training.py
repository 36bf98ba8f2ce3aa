# What every training config has.
seed = 0
precision = "auto"  # bf16 on GPUs and CPUs that are fast at it, float32 elsewhere; or "float32", "bfloat16"
log_interval = 10  # iterations between lines of the log
checkpoint_interval = 200  # iterations between checkpoints
custom_hooks = []  # such as dict(type="EMAHook"), dict(type="ValidationHook", ...)
