# VS-ReID small, 3 of 6: the flow stream on video; it begins as a copy of the RGB stream (reading V11).
# Run: dyenet train vsreid/small_flow.py [--set data_root=DATA]   (after small_rgb). Time and result: docs/results.md.
_base_ = "small_rgb.py"
model = dict(streams="flow", start_flow="rgb_mean", init_from="work_dirs/small_rgb/final.safetensors")
