# AdamW with a short warm-up and a cosine to nearly zero: a network from scratch, in a short time.
max_iters = 900
optim_wrapper = dict(
    optimizer=dict(type="AdamW", lr=6e-4, weight_decay=2e-2),
    clip_grad=dict(max_norm=3.0),
    accumulative_counts=1,
)
param_scheduler = [  # to max_iters
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, eta_min_ratio=0.02),
]
