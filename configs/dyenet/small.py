# The default model. Run: dyenet segment INPUT --masks MASKS --out DIR
_base_ = ["../_base_/models/small.py", "../_base_/inference/laptop.py"]
