# VS-ReID as in the paper, 4 of 6: both streams through the mean of their predictions (the paper adds DAVIS val).
# Run: torchrun --nproc-per-node 8 -m dyenet train vsreid/r101_streams.py --set data_root=DATA
# Time and result: not measured.
_base_ = "r101_rgb.py"
model = dict(streams="joint", init_from="work_dirs/r101_flow/final.safetensors")
