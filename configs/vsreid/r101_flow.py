# VS-ReID as in the paper, 3 of 6: the flow stream on DAVIS; it begins as a copy of the RGB stream (reading V11).
# Run: torchrun --nproc-per-node 8 -m dyenet train vsreid/r101_flow.py --set data_root=DATA
# Time and result: not measured.
_base_ = "r101_rgb.py"
model = dict(streams="flow", start_flow="rgb_mean", init_from="work_dirs/r101_rgb/final.safetensors")
