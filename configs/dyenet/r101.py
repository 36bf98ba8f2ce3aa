# The paper's network, with as many proposals as double the trunk's time allows.
# Run: dyenet segment INPUT --masks MASKS --out DIR --model r101
_base_ = ["../_base_/models/r101.py"]
