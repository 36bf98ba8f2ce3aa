# VS-ReID as in the paper, 5 of 6: Faster R-CNN, here on the boxes of COCO's and VOC's masks (the paper: ImageNet).
# Run: torchrun --nproc-per-node 8 -m dyenet train vsreid/r101_detector.py --set data_root=DATA
# Time and result: not measured.
_base_ = "r101_images.py"
model = dict(
    _delete_=True,
    type="DetectorTraining",
    network={{_base_.model.network}},
    init_from="work_dirs/r101_streams/final.safetensors",
)
