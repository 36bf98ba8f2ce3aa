# VS-ReID small, 4 of 6: both streams through the mean of their predictions.
# Run: dyenet train vsreid/small_streams.py [--set data_root=DATA]   (after small_flow)
# Time and result: docs/results.md.
_base_ = "small_rgb.py"
model = dict(streams="joint", init_from="work_dirs/small_flow/final.safetensors")
optim_wrapper = dict(optimizer=dict(lr=2e-4))
