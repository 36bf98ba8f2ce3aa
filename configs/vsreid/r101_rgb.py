# VS-ReID as in the paper, 2 of 6: the RGB stream on DAVIS, guided by the worn mask of the frame before.
# Run: torchrun --nproc-per-node 8 -m dyenet train vsreid/r101_rgb.py --set data_root=DATA
# Time and result: not measured.
_base_ = "r101_images.py"
data_root = "data"
model = dict(guides=dict(source="previous_frame"), init_from="work_dirs/r101_images/final.safetensors")
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="VideoClips",
        root=f"{data_root}/davis2017",
        split="train",
        size=(480, 856),
        num_frames=2,
        length=1000000,
    ),
)
