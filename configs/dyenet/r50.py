# ResNet-50 in the middle. Run: dyenet segment INPUT --masks MASKS --out DIR --model r50
_base_ = ["../_base_/models/r50.py"]
