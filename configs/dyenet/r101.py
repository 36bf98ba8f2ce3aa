# The paper's network.
# Run: dyenet segment INPUT --masks MASKS --out DIR --model r101
_base_ = ["../_base_/models/r101.py"]
