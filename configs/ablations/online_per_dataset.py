# DyeNet fine-tuned on all first frames of the data set (Table 5).
# First: dyenet finetune, per data set; then
# Run: dyenet experiment table5 --dataset davis2017 --root DAVIS --split val --out DIR
#     --set online_per_dataset.weights=FILE
# Expected with the paper's training: J 86.2 on DAVIS 2016 val.
_base_ = "dyenet.py"
weights = "online.safetensors"
