# DyeNet fine-tuned on each video's first frame: one weights file per video (Sec. 4, "per-video").
# First: dyenet finetune, per video; then
# Run: dyenet experiment table5 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set online_per_video.weights='DIR/{sequence}/final.safetensors'
# The paper prints no number for it.
_base_ = "dyenet.py"
weights = "online/{sequence}/final.safetensors"
