# VS-ReID as released: the sum of the two streams' logits, BGR means without a scale, the released code's schedule.
# Run: python scripts/convert_weights.py vsreid vsreid/r101_released.py OUT.safetensors --state FILE
#      dyenet segment INPUT --masks MASKS --out DIR --model OUT.safetensors
# The released weights hold the propagation network alone; detector and Identification Net stay random.
_base_ = ["../_base_/models/vsreid_r101.py", "../_base_/inference/vsreid_released.py"]
model = dict(propagation=dict(fusion="logit_sum", mean=(123.0, 117.0, 104.0), std=(1.0, 1.0, 1.0)))
